package kinds

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"math"
	"slices"
	"strings"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

type (
	csr     = certificatesv1.CertificateSigningRequest
	csrSpec = certificatesv1.CertificateSigningRequestSpec
)

// csrRules: who asks stands in the spec, by the registry's own knowledge. What has been answered goes after an hour, what has not after a day, as
// Kubernetes' controller csrcleaner has it.
func csrRules() registry.Rules {
	r := stored(api.CertificateSigningRequestKind, csrStays, registry.AgeColumn,
		shown[*csr]("SignerName", "spec.signerName", "", "Who is asked to sign."),
		shown[*csr]("Requestor", "spec.username", "", "Who asked."),
		column("RequestedDuration", "string", "How long the certificate shall be valid.", func(c *csr) any {
			if c.Spec.ExpirationSeconds == nil {
				return none
			}
			return duration.HumanDuration(time.Duration(*c.Spec.ExpirationSeconds) * time.Second)
		}),
		column("Condition", "string", "What has become of it.", csrCondition))
	r.Prepare, r.Fields = prepareCSR, selectable[*csr]("spec.signerName")
	r.TTL = func(o api.Object) time.Duration {
		return map[bool]time.Duration{true: time.Hour, false: 24 * time.Hour}[len(o.(*csr).Status.Conditions) > 0]
	}
	r.Subs = map[string]registry.Sub{"approval": {
		New:  func() api.Object { return api.Kinded(api.CertificateSigningRequestKind, "", &csr{}) },
		Get:  func(o api.Object) (api.Object, error) { return o, nil },
		Into: func(body, o api.Object) error { o.(*csr).Status.Conditions = body.(*csr).Status.Conditions; return nil },
	}}
	return r
}

func prepareCSR(ctx context.Context, _ string, o, old api.Object) {
	c := o.(*csr)
	if old != nil {
		c.Spec = old.(*csr).Spec
	} else {
		u, _ := api.UserFrom(ctx)
		c.Spec.Username, c.Spec.Groups, c.Spec.UID, c.Spec.Extra, c.Status = u.Name, u.Groups, u.UID, nil, certificatesv1.CertificateSigningRequestStatus{}
	}
	for i := range c.Status.Conditions {
		if cond := &c.Status.Conditions[i]; cond.LastUpdateTime.IsZero() {
			cond.LastUpdateTime = metav1.NewTime(time.Now().Truncate(time.Second))
			cond.LastTransitionTime = cond.LastUpdateTime
		}
	}
}

var usages = strings.Split("signing,digital signature,content commitment,key encipherment,key agreement,data encipherment,cert sign,crl sign,encipher only,decipher only,any,"+
	"server auth,client auth,code signing,email protection,s/mime,ipsec end system,ipsec tunnel,ipsec user,timestamping,ocsp signing,microsoft sgc,netscape sgc", ",")

var csrChecks = []rule{
	fields[csrSpec]("usages", required(every(oneOf(usages...)), distinct("", func(u certificatesv1.KeyUsage) certificatesv1.KeyUsage { return u }))),
	fields[csrSpec]("expirationSeconds", between(600, math.MaxInt32, "may not specify a duration less than 600 seconds (10 minutes)")),
	fields[csrSpec]("signerName", required(text(func(name string) []string {
		domain, path, _ := strings.Cut(name, "/")
		if messages := validation.IsDNS1123Subdomain(domain); len(messages) > 0 || !strings.Contains(domain, ".") || path == "" {
			return append(messages, "must be a domain and a path, like example.com/my-signer")
		}
		return nil
	}))),
	fields[csrSpec]("request", required(some(func(at *field.Path, data []byte) field.ErrorList {
		block, _ := pem.Decode(data)
		if block == nil || block.Type != "CERTIFICATE REQUEST" {
			return field.ErrorList{field.Invalid(at, "", "PEM block type must be CERTIFICATE REQUEST")}
		}
		req, err := x509.ParseCertificateRequest(block.Bytes)
		return when(err != nil || req.CheckSignature() != nil, field.Invalid(at, "", "is no request, or not signed with its own key"))
	}))),
}

// decided are the conditions that only the subresource approval may set, and nobody take back.
func decided(c *csr) (types []certificatesv1.RequestConditionType) {
	for _, cond := range c.Status.Conditions {
		if cond.Type == certificatesv1.CertificateApproved || cond.Type == certificatesv1.CertificateDenied {
			types = append(types, cond.Type)
		}
	}
	return types
}

func csrStays(sub string, c, old *csr) (faults field.ErrorList) {
	at, was, is := field.NewPath("status", "conditions"), decided(old), decided(c)
	for _, cond := range was {
		faults = append(faults, when(!slices.Contains(is, cond), field.Forbidden(at, "updates may not remove a condition of type "+string(cond)))...)
	}
	faults = append(faults, when(sub == "status" && len(is) > len(was), field.Forbidden(at, "Approved and Denied are set by the subresource approval"))...)
	faults = append(faults, when(len(is) > 1, field.Invalid(at, is, "Approved and Denied conditions are mutually exclusive"))...)
	for i, cond := range c.Status.Conditions {
		faults = append(faults, when(cond.Status != "True", field.NotSupported(at.Index(i).Child("status"), cond.Status, []string{"True"}))...)
	}
	if len(old.Status.Certificate) > 0 {
		faults = append(faults, immutable(field.NewPath("status", "certificate"), c.Status.Certificate, old.Status.Certificate)...)
	}
	return faults
}

func csrCondition(c *csr) any {
	var words []string
	for _, cond := range c.Status.Conditions {
		words = append(words, string(cond.Type))
	}
	if len(c.Status.Certificate) > 0 {
		words = append(words, "Issued")
	}
	return orElse(strings.Join(words, ","), "Pending")
}
