package ctl

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"

	"optimist/internal/api"
)

// certificateCommand is kubectl's: a person decides on a CertificateSigningRequest, and the server signs what was approved.
func certificateCommand(s *session) *cobra.Command {
	return parent("certificate", "Approve or deny requests for certificates",
		decideCommand(s, "approve", "approved", certificatesv1.CertificateApproved), decideCommand(s, "deny", "denied", certificatesv1.CertificateDenied))
}

func decideCommand(s *session, verb, did string, what certificatesv1.RequestConditionType) *cobra.Command {
	title := strings.ToUpper(verb[:1]) + verb[1:]
	mark := certificatesv1.CertificateSigningRequestCondition{Type: what, Status: corev1.ConditionTrue, Reason: "Kubectl" + title,
		Message: fmt.Sprintf("This CSR was %s by kubectl certificate %s.", did, verb)}
	return &cobra.Command{Use: verb + " NAME…", Short: title + " requests for certificates", ValidArgsFunction: s.completeNames(api.CertificateSigningRequestKind),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(c, "one or more CSRs must be specified as <name>")
			}
			for _, arg := range args {
				csr, err := api.CertificateSigningRequests.Get(c.Context(), s, api.Key{Name: arg[strings.LastIndexByte(arg, '/')+1:]}) // csr/NAME is understood, too
				if err != nil {
					return err
				}
				csr = csr.DeepCopy()
				has := slices.IndexFunc(csr.Status.Conditions, func(c certificatesv1.CertificateSigningRequestCondition) bool {
					return c.Type != certificatesv1.CertificateFailed
				})
				switch {
				case has >= 0 && csr.Status.Conditions[has].Type != what:
					return fmt.Errorf("certificate signing request %q is already %s", csr.Name, csr.Status.Conditions[has].Type)
				case has < 0:
					csr.Status.Conditions = append(csr.Status.Conditions, mark)
					if _, err := s.Write(c.Context(), api.CertificateSigningRequests.Request(api.VerbUpdate, api.KeyOf(csr), "approval", csr)); err != nil {
						return err
					}
				}
				fmt.Fprintf(c.OutOrStdout(), "%s/%s %s\n", api.CertificateSigningRequestKind.Singular+"."+api.CertificateSigningRequestKind.Group, csr.Name, did)
			}
			return nil
		}}
}

// encryptionCommand is about the keys with which the API server encrypts Secrets before it stores them.
func encryptionCommand(s *session) *cobra.Command {
	rotate := &cobra.Command{Use: "rotate", Short: "Make a new key, and encrypt all Secrets with it", Args: exactly(0, "no arguments"), RunE: func(c *cobra.Command, _ []string) error {
		target := api.Target{Kind: api.ComponentStatusKind, Key: api.Key{Name: "apiserver"}, Sub: "encryption"}
		return s.listen(c.Context(), target, nil, c.OutOrStdout())
	}}
	return parent("encryption", "Change the key with which Secrets are stored", rotate)
}
