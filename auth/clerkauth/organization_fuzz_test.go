package clerkauth

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

// FuzzAuthorize reads payloads that Clerk never signed: with any content, an
// organization has an id, and a permission a name.
func FuzzAuthorize(f *testing.F) {
	for _, payload := range []string{
		`{"v":2,"fea":"o:dashboard,u:export,uo:teams","pla":"o:gold","fva":[0,-1],"act":{"sub":"user_1"},"o":{"id":"org_1","slg":"one","rol":"admin","per":"manage,read","fpm":"3,2"}}`,
		`{"org_id":"org_1","org_role":"org:admin","org_slug":"one","org_permissions":["org:teams:read"]}`,
		`{"org_id":"org_1","org_role":"org:","org_permissions":["org:"]}`,
		`{"v":2,"fea":",:,o:","o":{"id":"org_1","per":",","fpm":"99999999999999999999999999,-0"},"fva":[null,1e400]}`,
	} {
		f.Add([]byte(payload))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		var c authorizationClaims
		if json.Unmarshal(payload, &c) != nil {
			return
		}
		caller := Caller{UserID: "user_ada"}
		c.authorize(&caller)
		o := caller.Organization
		if o.ID == "" && (o.Slug != "" || o.Role != "" || len(o.Permissions) > 0) {
			t.Errorf("no id: %+v", o)
		}
		if c.Version.value == 2 {
			for _, permission := range o.Permissions {
				if !strings.HasPrefix(permission, "org:") || strings.HasSuffix(permission, ":") {
					t.Errorf("permission %q", permission)
				}
			}
		}
		if age := caller.FactorVerificationAge; age.Known && (age.FirstFactor < -1 || age.SecondFactor < -1) {
			t.Errorf("%+v", age)
		}
		for _, r := range []Requirement{Role(""), Permission(""), Feature(""), Plan(""), {}} {
			if caller.Has(r) {
				t.Errorf("has nothing: %v", r)
			}
		}
		_ = caller.authorizationSize()
	})
}
