#!/usr/bin/env bash
# The demo: a cluster, an example on it, and its answers. `make demo` builds what this needs first.
#   examples/demo.sh [CLUSTER]
set -euo pipefail
cd "$(dirname "$0")/.."
name=${1:-demo}
ctl=bin/ctl
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
run() { printf '\033[2m$ %s\033[0m\n' "$*"; "$@"; }

# get ADDRESS PORT PATH prints the body of an HTTP answer, with nothing but the shell.
get() {
	exec 3<>"/dev/tcp/$1/$2"
	printf 'GET %s HTTP/1.0\r\nHost: %s\r\n\r\n' "$3" "$1" >&3
	sed '1,/^\r*$/d' <&3
	exec 3>&-
}

if [ "$(id -u)" != 0 ]; then
	echo "the demo runs real containers and needs root: sudo make demo (or, as you are: bin/ctl up --sim)" >&2
	exit 1
fi
say "A cluster on this machine"
run $ctl up --name "$name"

say "Images, without a registry"
for image in bin/images/*.tar; do run $ctl image load "$image"; done

say "One apply"
run $ctl apply -f examples/web.yaml -f examples/service.yaml
run $ctl rollout status deployment/web
run $ctl get pods -o wide

say "Every pod answers on its own address"
for address in $($ctl get pods -l app=web --no-headers -o wide | awk '{print $6}'); do
	printf '%s: ' "$address"
	get "$address" 8080 /
done

say "All of them answer by one name"
run $ctl get services,endpointslices
run $ctl exec deploy/web -- /web ask -count 30 web

cat <<END

What to try next:
  bin/ctl get pods -w                          watch; in a second terminal:
  bin/ctl scale deployment web --replicas 5
  bin/ctl delete pod -l app=web                they come back
  sed s/web:1/web:2/ examples/web.yaml | bin/ctl apply -f -      a new version, rolled out
  bin/ctl rollout status deployment/web; bin/ctl rollout undo deployment/web
  bin/ctl describe deployment web              and what the controllers decided, with reasons
  bin/ctl apply -f examples/too-big.yaml; bin/ctl describe pod too-big
  bin/ctl apply -f examples/init.yaml; bin/ctl logs init -f; bin/ctl exec -it init -- sh
  sudo bin/ctl up --nodes 3 --name fleet       a second cluster, of three nodes; bin/ctl doctor examines it
  make down                                    remove all of it
END
