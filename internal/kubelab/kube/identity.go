package kube

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// writeIdentities writes the keys that sign tokens of service accounts and the
// administrator's token, which it returns.
func (o Options) writeIdentities() (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", fmt.Errorf("make key: %w", err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return "", fmt.Errorf("write key: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return "", fmt.Errorf("write key: %w", err)
	}
	secret := make([]byte, 16)
	_, _ = rand.Read(secret) // never fails
	token := hex.EncodeToString(secret)
	for name, content := range map[string][]byte{
		"sa.key":     pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}),
		"sa.pub":     pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}),
		"tokens.csv": []byte(token + ",admin,admin,\"system:masters\"\n"),
	} {
		if err := os.WriteFile(o.in(name), content, 0o600); err != nil {
			return "", fmt.Errorf("write identities: %w", err)
		}
	}
	return token, nil
}

// WriteKubeconfig writes a kubeconfig for the API server at address.
func WriteKubeconfig(file, address string, certificate []byte, token string) error {
	config := clientcmdapi.NewConfig()
	config.Clusters["clarity"] = &clientcmdapi.Cluster{Server: address, CertificateAuthorityData: certificate, TLSServerName: "kubernetes"}
	config.AuthInfos["clarity"] = &clientcmdapi.AuthInfo{Token: token}
	config.Contexts["clarity"] = &clientcmdapi.Context{Cluster: "clarity", AuthInfo: "clarity"}
	config.CurrentContext = "clarity"
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	return nil
}

// WriteAccountKubeconfig writes a kubeconfig for a service account, which has
// the rights that its roles give it and no more.
func WriteAccountKubeconfig(ctx context.Context, admin *rest.Config, namespace, account, file string) error {
	client, err := kubernetes.NewForConfig(admin)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	year := int64((365 * 24 * time.Hour).Seconds())
	token, err := client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &year}}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("ask for a token of service account %q: %w", account, err)
	}
	return WriteKubeconfig(file, admin.Host, admin.CAData, token.Status.Token)
}
