package cluster

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"optimist/internal/pki"
)

func certsCommand(controllers []string) *cobra.Command {
	list, name := command("certs", "Show a cluster's certificates and how long they are still good")
	list.Example = `  sudo ctl certs
  sudo ctl certs renew             all of them, now; those who run show the new ones without a restart`
	list.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := Load(*name)
		if err != nil {
			return err
		}
		return c.listCertificates(cmd.OutOrStdout(), kubeconfigOf(cmd))
	}
	renew, of := command("renew", "Issue all certificates anew")
	renew.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := Load(*of)
		if err != nil {
			return err
		}
		if !c.authority() {
			return fmt.Errorf("%s has no ca.key: certificates are renewed where the cluster's API server runs; a node asks for its own by itself", c.pki())
		}
		if err := pki.CanMerge(kubeconfigOf(cmd), c.Name); err != nil {
			return err
		}
		c.controllers = controllers
		b := c.credentials()
		b.Renew = true
		if err := b.Run(c.pki()); err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), "all certificates are renewed")
		return c.publish(kubeconfigOf(cmd), cmd.OutOrStdout())
	}
	list.AddCommand(renew)
	return list
}

// certificate is one that a file holds; who is whom it speaks for.
type certificate struct {
	file string
	*x509.Certificate
}

// certificates are those of the cluster's folder, and the caller's own in their kubeconfig, soonest to end first.
func (c Config) certificates(kubeconfig string) (all []certificate, err error) {
	files, _ := filepath.Glob(filepath.Join(c.pki(), "*"))
	for _, f := range append(files, kubeconfig) {
		var data []byte
		switch ext := filepath.Ext(f); {
		case ext == ".crt":
			data, err = os.ReadFile(f)
		case ext == ".kubeconfig" || f == kubeconfig:
			context := ""
			if f == kubeconfig {
				context = c.Name
			}
			data, err = certificateIn(f, context)
		default:
			continue
		}
		if f == kubeconfig && err != nil { // it need not lead to this cluster
			continue
		}
		if err != nil {
			return nil, err
		}
		cert, err := pki.ParseCert(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		all = append(all, certificate{f, cert})
	}
	slices.SortStableFunc(all, func(a, b certificate) int { return a.NotAfter.Compare(b.NotAfter) })
	return all, nil
}

// certificateIn is the client certificate of a context, also of one that has expired.
func certificateIn(file, context string) ([]byte, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	a, err := pki.ParseKubeconfig(data, context)
	if err != nil {
		err = fmt.Errorf("%s: %w", file, err)
	}
	return a.Cert, err
}

func (c Config) listCertificates(out io.Writer, kubeconfig string) error {
	all, err := c.certificates(kubeconfig)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 10, 4, 3, ' ', 0)
	fmt.Fprintln(w, "USER\tGROUPS\tEXPIRES\tDAYS LEFT\tFILE")
	for _, cert := range all {
		left := fmt.Sprint(int(time.Until(cert.NotAfter).Hours() / 24))
		if time.Now().After(cert.NotAfter) {
			left = "expired"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", cert.Subject.CommonName, cmp.Or(strings.Join(cert.Subject.Organization, ","), "<none>"),
			cert.NotAfter.Format(time.DateOnly), left, cert.file)
	}
	return w.Flush()
}
