package ctl

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/duration"

	"optimist/internal/api"
	"optimist/internal/client"
	"optimist/internal/pki"
)

const tokenPrefix = "bootstrap-token-"

// tokenCommand is kubeadm's: tokens are Secrets, which the API server takes for a proof.
func tokenCommand(s *session) *cobra.Command {
	list := &cobra.Command{Use: "list", Short: "List the tokens", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error { return s.listTokens(c) }}
	remove := &cobra.Command{Use: "delete TOKEN…", Short: "Delete tokens, by their id or whole", Args: cobra.MinimumNArgs(1), RunE: func(c *cobra.Command, args []string) error {
		for _, arg := range args {
			id, _, _ := strings.Cut(arg, ".")
			if err := api.Secrets.Delete(c.Context(), s, api.Key{Namespace: metav1.NamespaceSystem, Name: tokenPrefix + id}, api.Options{}); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "bootstrap token %q deleted\n", id)
		}
		return nil
	}}
	return parent("token", "Make, list and delete the tokens by which machines join the cluster", tokenCreateCommand(s), list, remove)
}

func tokenCreateCommand(s *session) *cobra.Command {
	c := &cobra.Command{Use: "create [TOKEN]", Short: "Make a token and print it", Args: cobra.MaximumNArgs(1), Example: "  ctl token create --print-join-command"}
	ttl := c.Flags().Duration("ttl", 24*time.Hour, "How long it is good for; 0 = for ever")
	about := c.Flags().String("description", "", "What it is for")
	command := c.Flags().Bool("print-join-command", false, "Print the whole command to be typed on the machine that joins")
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		words := strings.ToLower(rand.Text() + rand.Text()) // letters and digits
		id, secret, _ := strings.Cut(append(args, words[:6]+"."+words[6:22])[0], ".")
		line := id + "." + secret
		if *ttl < 0 {
			return usage(c, "--ttl must not be negative")
		}
		if *command {
			if line, err = s.joinCommand(c, line); err != nil {
				return err
			}
		}
		data := map[string]string{"token-id": id, "token-secret": secret, "usage-bootstrap-authentication": "true", "usage-bootstrap-signing": "true", "description": *about}
		if *ttl > 0 {
			data["expiration"] = time.Now().Add(*ttl).UTC().Format(time.RFC3339)
		}
		maps.DeleteFunc(data, func(_, value string) bool { return value == "" })
		_, err = api.Secrets.Create(c.Context(), s, &corev1.Secret{Type: corev1.SecretTypeBootstrapToken, StringData: data,
			ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: tokenPrefix + id}})
		if err == nil {
			fmt.Fprintln(c.OutOrStdout(), line)
		}
		return err
	}
	return c
}

// joinCommand is what to type on a machine that shall join, if it can reach this cluster at all.
func (s *session) joinCommand(c *cobra.Command, token string) (string, error) {
	info, err := api.ConfigMaps.Get(c.Context(), s, api.Key{Namespace: metav1.NamespacePublic, Name: "cluster-info"})
	if apierrors.IsNotFound(err) {
		return "", fmt.Errorf("no machine can join a simulated cluster (%w): make one with real containers (sudo ctl up --listen 0.0.0.0)", err)
	}
	if err != nil {
		return "", err
	}
	if name := info.Data["name"]; info.Data["server"] == "" {
		return "", fmt.Errorf("no machine can join: the API server listens on this one's loopback address only. Let it listen on others too: "+
			"ctl stop --name %s, then ctl start --name %s --listen 0.0.0.0", name, name)
	}
	conf, err := client.Load(s.file(), s.context)
	if err != nil {
		return "", err
	}
	ca, err := pki.ParseCert(conf.CA)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("ctl join %s --token %s --ca-hash %s", info.Data["server"], token, pki.Hash(ca)), nil
}

func (s *session) listTokens(c *cobra.Command) error {
	secrets, err := api.Secrets.List(c.Context(), s, metav1.NamespaceSystem, api.ListOptions{Fields: fields.OneTermEqualSelector("type", string(corev1.SecretTypeBootstrapToken))})
	if err != nil || len(secrets) == 0 {
		return err
	}
	w := tabwriter.NewWriter(c.OutOrStdout(), 10, 4, 3, ' ', 0)
	fmt.Fprintln(w, "TOKEN\tTTL\tEXPIRES\tUSAGES\tDESCRIPTION\tEXTRA GROUPS")
	for _, secret := range secrets {
		value := func(key string) string { return string(secret.Data[key]) }
		ttl, expires := "<forever>", cmp.Or(value("expiration"), "<never>")
		if end, err := time.Parse(time.RFC3339, expires); err == nil {
			if ttl = "<invalid>"; end.After(time.Now()) {
				ttl = duration.ShortHumanDuration(time.Until(end))
			}
		}
		usages := slices.DeleteFunc([]string{"authentication", "signing"}, func(u string) bool { return value("usage-bootstrap-"+u) != "true" })
		fmt.Fprintf(w, "%s.%s\t%s\t%s\t%s\t%s\t%s\n", value("token-id"), value("token-secret"), ttl, expires, cmp.Or(strings.Join(usages, ","), "<none>"),
			cmp.Or(value("description"), "<none>"), cmp.Or(value("auth-extra-groups"), "<none>"))
	}
	return w.Flush()
}
