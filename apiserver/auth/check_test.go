package auth

import (
	"fmt"
	"strings"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"optimist/internal/api"
)

func TestEscalation(t *testing.T) {
	const pods = `{apiGroups: [""], resources: [pods], verbs: [get, list]}`
	role := func(kind, rules string) string { return rbacObject(kind, "r", "rules: ["+rules+"]") }
	const writer = `{apiGroups: [rbac.authorization.k8s.io], resources: [roles, rolebindings, clusterroles, clusterrolebindings], verbs: ["*"]}`
	const noGrants = `{apiGroups: [rbac.authorization.k8s.io], resources: [roles, rolebindings, clusterroles, clusterrolebindings], verbs: [create, get, update, patch]}`
	for _, row := range []struct{ name, holds, does, says string }{
		{"what one holds", pods, role("Role", pods), ""},
		{"less than one holds", `{apiGroups: ["*"], resources: ["*"], verbs: [get, list]}`, role("Role", pods), ""},
		{"more", pods, role("Role", `{apiGroups: [""], resources: [pods, secrets], verbs: [get, delete]}`), `roles.rbac.authorization.k8s.io "r" is forbidden: user "alice" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:
{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}
{APIGroups:[""], Resources:["secrets"], Verbs:["get" "delete"]}`},
		{"names", pods, role("Role", `{apiGroups: [""], resources: [pods], resourceNames: [x], verbs: [get]}`), ""},
		{"all for some names", `{apiGroups: [""], resources: [pods], resourceNames: [x], verbs: [get]}`, role("Role", `{apiGroups: [""], resources: [pods], verbs: [get]}`),
			`{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`},
		{"other names", `{apiGroups: [""], resources: [pods], resourceNames: [x], verbs: [get]}`, role("Role", `{apiGroups: [""], resources: [pods], resourceNames: [x, z], verbs: [get]}`),
			`{APIGroups:[""], Resources:["pods"], ResourceNames:["z"], Verbs:["get"]}`},
		{"a star", pods, role("Role", `{apiGroups: [""], resources: [pods], verbs: ["*"]}`), `{APIGroups:[""], Resources:["pods"], Verbs:["*"]}`},
		{"a subresource of any kind", `{apiGroups: [""], resources: ["*/scale"], verbs: [get]}`, role("Role", `{apiGroups: [""], resources: [x/scale], verbs: [get]}`), ""},
		{"paths", `{nonResourceURLs: [/a/*], verbs: [get]}`, role("ClusterRole", `{nonResourceURLs: [/a/b, /a/c/*], verbs: [get]}`), ""},
		{"other paths", `{nonResourceURLs: [/a/*], verbs: [get]}`, role("ClusterRole", `{nonResourceURLs: [/a, "*"], verbs: [get]}`), `{NonResourceURLs:["*"], Verbs:["get"]}
{NonResourceURLs:["/a"], Verbs:["get"]}`},
		{"the verb escalate", `{apiGroups: [rbac.authorization.k8s.io], resources: [roles], verbs: [escalate]}`, role("Role", pods), ""},
		{"to collect rules", pods, rbacObject("ClusterRole", "r", "aggregationRule: {clusterRoleSelectors: [{matchLabels: {a: b}}]}"), "must have cluster-admin privileges to use the aggregationRule"},
		{"to collect them as an administrator", `{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}, {nonResourceURLs: ["*"], verbs: ["*"]}`, rbacObject("ClusterRole", "r", "aggregationRule: {clusterRoleSelectors: [{matchLabels: {a: b}}]}"), ""},
		{"a binding to what one holds", pods, bindingText("RoleBinding", "b", "ClusterRole/pods", toAlice), ""},
		{"a binding to more", `{apiGroups: [""], resources: [pods], verbs: [get]}`, bindingText("ClusterRoleBinding", "b", "ClusterRole/pods", toAlice), `clusterrolebindings.rbac.authorization.k8s.io "b" is forbidden: user "alice" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:
{APIGroups:[""], Resources:["pods"], Verbs:["list"]}`},
		{"a binding to cluster-admin", pods, bindingText("ClusterRoleBinding", "b", "ClusterRole/cluster-admin", toAlice), `{APIGroups:["*"], Resources:["*"], Verbs:["*"]}
{NonResourceURLs:["*"], Verbs:["*"]}`},
		{"the verb bind", `{apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], resourceNames: [cluster-admin], verbs: [bind]}`, bindingText("ClusterRoleBinding", "b", "ClusterRole/cluster-admin", toAlice), ""},
		{"the verb bind, for another role", `{apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], resourceNames: [view], verbs: [bind]}`, bindingText("ClusterRoleBinding", "b", "ClusterRole/cluster-admin", toAlice), "not currently held"},
		{"a role that is not there", pods, bindingText("RoleBinding", "b", "Role/none", toAlice), `roles.rbac.authorization.k8s.io "none" not found`},
		{"a label that makes others collect it", `{apiGroups: [""], resources: [pods], verbs: [get]}`, strings.Replace(rbacObject("ClusterRole", "pods", "rules: ["+pods+"]"), `"pods"`, `"pods", labels: {rbac.authorization.k8s.io/aggregate-to-view: "true"}`, 1), "not currently held"},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := gateway(t)
			settled(t, g)
			err := put(t, g, boss, rbacObject("ClusterRole", "pods", "rules: ["+pods+"]")+"\n---\n"+
				rbacObject("ClusterRole", "held", "rules: ["+noGrants+", "+row.holds+"]")+"\n---\n"+bindingText("ClusterRoleBinding", "held", "ClusterRole/held", toAlice))
			if err != nil {
				t.Fatal(err)
			}
			err = put(t, g, person("alice"), row.does)
			if (err == nil) != (row.says == "") || err != nil && !strings.Contains(err.Error(), row.says) {
				t.Errorf("got  %v\nwant %s", err, row.says)
			}
			if err := put(t, g, boss, rbacObject("ClusterRole", "held", "rules: ["+writer+"]")); err != nil { // has escalate and bind
				t.Fatal(err)
			}
			if err := put(t, g, person("alice"), row.does); err != nil && !apierrors.IsNotFound(err) && !strings.Contains(row.says, "aggregationRule") {
				t.Errorf("with escalate and bind: %v", err)
			}
		})
	}
}

func TestARuleOfBillionsIsRefusedInWords(t *testing.T) {
	many := make([]string, 1<<16)
	for i := range many {
		many[i] = fmt.Sprint("x", i)
	}
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "r", Namespace: "default"}, Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: many[:100], Resources: many[:10_000], ResourceNames: many[:10_000]}}}
	g := gateway(t)
	err := put(t, g, boss, rbacObject("ClusterRole", "held", `rules: [{apiGroups: [rbac.authorization.k8s.io], resources: [roles], verbs: [create]}]`)+"\n---\n"+bindingText("ClusterRoleBinding", "held", "ClusterRole/held", toAlice))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.Roles.Create(api.WithUser(t.Context(), person("alice")), g, role); !apierrors.IsForbidden(err) || len(err.Error()) > 1<<16 {
		t.Errorf("got %.200v", err)
	}
}

func TestOwnersAreNoEscalation(t *testing.T) {
	g := gateway(t)
	err := put(t, g, boss, rbacObject("ClusterRole", "held", `rules: [{apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], verbs: [update, patch]}]`)+"\n---\n"+
		bindingText("ClusterRoleBinding", "held", "ClusterRole/held", toAlice)+"\n---\n"+rbacObject("ClusterRole", "all", `rules: [{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}]`))
	if err != nil {
		t.Fatal(err)
	}
	for patch, may := range map[string]bool{`{"metadata": {"finalizers": ["a.b/c"]}}`: true, `{"metadata": {"annotations": {"a": "b"}}}`: false} {
		_, err := api.ClusterRoles.Patch(api.WithUser(t.Context(), person("alice")), g, api.Key{Name: "all"}, "", types.MergePatchType, []byte(patch))
		if apierrors.IsForbidden(err) == may {
			t.Errorf("%s: %v", patch, err)
		}
	}
}

func TestANodeDoesNotMakeItselfAttractive(t *testing.T) {
	g := gateway(t)
	node := api.User{Name: "system:node:n1", Groups: []string{api.GroupNodes, authenticated}}
	for _, row := range []struct{ patch, says string }{
		{`{"metadata": {"labels": {"kubernetes.io/hostname": "x", "node.kubernetes.io/x": "y", "kubelet.kubernetes.io/a": "b", "example.com/zone": "1", "plain": "1"}}}`, ""},
		{`{"metadata": {"labels": {"node-restriction.kubernetes.io/x": "y", "kubernetes.io/x": "y"}}}`, `nodes "n1" is forbidden: is not allowed to modify labels: kubernetes.io/x, node-restriction.kubernetes.io/x`},
		{`{"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}}`, `nodes "n1" is forbidden: is not allowed to modify labels: node-role.kubernetes.io/control-plane`},
		{`{"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}}`, `nodes "n1" is forbidden: node "n1" is not allowed to modify taints`},
		{`{"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "1"}]}}`, `nodes "n1" is forbidden: node "n1" is not allowed to modify ownerReferences`},
		{`{"spec": {"unschedulable": true}}`, ""},
	} {
		_, err := api.Nodes.Patch(api.WithUser(t.Context(), node), g, api.Key{Name: "n1"}, "", types.MergePatchType, []byte(row.patch))
		if (err == nil) != (row.says == "") || err != nil && err.Error() != row.says {
			t.Errorf("%s\ngot  %v\nwant %s", row.patch, err, row.says)
		}
		if _, err := api.Nodes.Patch(api.WithUser(t.Context(), boss), g, api.Key{Name: "n1"}, "", types.MergePatchType, []byte(row.patch)); err != nil {
			t.Errorf("the administrator: %s: %v", row.patch, err)
		}
	}
	n3 := api.User{Name: "system:node:n3", Groups: []string{api.GroupNodes, authenticated}}
	err := put(t, g, n3, `{apiVersion: v1, kind: Node, metadata: {name: n3, labels: {node-role.kubernetes.io/x: ""}}}`)
	if want := `nodes "n3" is forbidden: node "n3" is not allowed to set the following labels: node-role.kubernetes.io/x`; err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	if err := put(t, g, n3, `{apiVersion: v1, kind: Node, metadata: {name: n3}, spec: {taints: [{key: a, effect: NoSchedule}]}}`); err != nil {
		t.Errorf("taints at the first registration: %v", err)
	}
}

func TestWhoApprovesForASigner(t *testing.T) {
	g := gateway(t)
	const any = `{apiGroups: [certificates.k8s.io], resources: [certificatesigningrequests, certificatesigningrequests/approval, certificatesigningrequests/status], verbs: ["*"]}`
	if err := put(t, g, boss, rbacObject("ClusterRole", "r", `rules: [`+any+`, {apiGroups: [certificates.k8s.io], resources: [signers], resourceNames: ["a.b/*"], verbs: [approve]}]`)+"\n---\n"+
		bindingText("ClusterRoleBinding", "b", "ClusterRole/r", toAlice)+"\n---\n"+rbacObject("ClusterRole", "s", `rules: [`+any+`]`)+"\n---\n"+
		bindingText("ClusterRoleBinding", "s", "ClusterRole/s", "{kind: User, name: bob}")); err != nil {
		t.Fatal(err)
	}
	approve := func(u api.User, sub string, change func(*certificatesv1.CertificateSigningRequest)) error {
		c, err := api.CertificateSigningRequests.Get(api.WithUser(t.Context(), boss), g, api.Key{Name: "of-abcdef"})
		if err != nil {
			t.Fatal(err)
		}
		change(c)
		_, err = g.Write(api.WithUser(t.Context(), u), api.CertificateSigningRequests.Request(api.VerbUpdate, api.KeyOf(c), sub, c))
		return err
	}
	approved := func(c *certificatesv1.CertificateSigningRequest) {
		c.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "x"}}
	}
	want := `certificatesigningrequests.certificates.k8s.io "of-abcdef" is forbidden: user not permitted to approve requests with signerName "a.b/c"`
	if err := approve(person("bob"), "approval", approved); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	if err := approve(person("alice"), "approval", approved); err != nil {
		t.Error(err)
	}
	want = strings.Replace(want, "approve", "sign", 1)
	if err := approve(person("alice"), "status", func(c *certificatesv1.CertificateSigningRequest) {
		c.Status.Certificate = []byte("-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n")
	}); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}
