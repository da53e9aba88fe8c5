# The commands of CONTRIBUTING.md.
.PHONY: check test test-all fuzz

check: ## gofmt, go mod tidy, the rule of imports, go vet, staticcheck
	bash .ci/check

test: ## all that runs in a minute or two, and what was skipped
	go run gotest.tools/gotestsum@v1.13.0 --format pkgname -- ./...

test-all: ## everything
	bash .ci/run

fuzz: ## new inputs for every fuzz test, new histories for the database
	bash .ci/fuzz
