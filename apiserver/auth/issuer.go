package auth

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
)

// Issuer are the documents by which others verify tokens of ServiceAccounts: OpenID Connect Discovery 1.0, and the public keys (RFC 7517).
func (g *Gate) Issuer() map[string]http.Handler {
	keys := []map[string]string{}
	for _, k := range g.tokens.keys {
		point, err := k.PublicKey.Bytes() // 4, x, y
		if err == nil {
			keys = append(keys, map[string]string{"use": "sig", "kty": "EC", "kid": k.id, "crv": "P-256", "alg": es256,
				"x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:])})
		}
	}
	return map[string]http.Handler{
		"/.well-known/openid-configuration": document("application/json", map[string]any{"issuer": issuer, "jwks_uri": issuer + "/openid/v1/jwks",
			"response_types_supported": []string{"id_token"}, "subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{es256}}),
		"/openid/v1/jwks": document("application/jwk-set+json", map[string]any{"keys": keys}),
	}
}

func document(mediaType string, v any) http.Handler {
	data, _ := json.Marshal(v) // text only
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", mediaType)
		w.Header().Set("Cache-Control", "public, max-age=3600")
		_, _ = w.Write(data)
	})
}
