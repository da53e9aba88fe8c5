module encore.app

go 1.26

require (
	encore.dev v1.52.1
	github.com/clerk/clerk-sdk-go/v2 v2.4.2
	github.com/go-jose/go-jose/v3 v3.0.4
	github.com/go-json-experiment/json v1.27.2
	github.com/maypok86/otter/v2 v2.4.0
)

require golang.org/x/crypto v0.42.0 // indirect
