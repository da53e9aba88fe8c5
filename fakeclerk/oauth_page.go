package fakeclerk

import (
	"bytes"
	"cmp"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"encore.app/fakeclerk/faulty"
)

var consent = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Sign in to {{.Client}}</title>
<body style="font: 1.1rem/1.6 system-ui, sans-serif; max-width: 40rem; margin: 4rem auto; padding: 0 1.25rem">
<h1>Sign in to {{.Client}}</h1>
<p>{{.Client}} asks for: {{.Scopes}}. Continue as</p>
<ul>{{range .Choices}}
<li><a href="{{.URL}}">{{.Name}}</a>{{end}}
</ul>
<p><a href="{{.Deny}}">Deny</a></p>
</html>
`))

// choice is an account, and perhaps an organization, to continue with.
type choice struct{ Name, URL string }

// consentPage lists the accounts, each with its organizations where the client asks
// for one.
func (s *Server) consentPage(r *http.Request, client *oauthClient, scopes []string) (any, error) {
	link := func(parameters ...string) string {
		q := r.URL.Query()
		for _, name := range []string{"user_id", "email", "org"} {
			q.Del(name)
		}
		for i := 0; i < len(parameters); i += 2 {
			q.Set(parameters[i], parameters[i+1])
		}
		return (&url.URL{Path: r.URL.Path, RawQuery: q.Encode()}).String()
	}
	var choices []choice
	for _, user := range s.users.rows[:min(100, len(s.users.rows))] {
		name := cmp.Or(strings.TrimSpace(user.FirstName+" "+user.LastName), user.PrimaryEmailAddress(), user.Username, user.ID)
		choices = append(choices, choice{name, link("user_id", user.ID)})
		if !slices.Contains(scopes, organizationScope) {
			continue
		}
		for _, m := range s.membershipsOf(user.ID) {
			organization := s.organizations.byKey[m.OrganizationID]
			choices = append(choices, choice{name + " in " + organization.Name, link("user_id", user.ID, "org", organization.ID)})
		}
	}
	var page bytes.Buffer
	err := consent.Execute(&page, map[string]any{
		"Client": cmp.Or(client.name, client.id), "Scopes": strings.Join(scopes, ", "), "Choices": choices, "Deny": link("deny", "1"),
	})
	return faulty.Answer{Status: http.StatusOK, ContentType: "text/html; charset=utf-8", Body: page.Bytes()}, err
}
