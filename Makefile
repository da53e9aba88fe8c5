# The commands of CONTRIBUTING.md. What each runs is in .ci/run.
.PHONY: check test test-all

check:
	bash .ci/run check

test:
	bash .ci/run test

test-all:
	bash .ci/run
