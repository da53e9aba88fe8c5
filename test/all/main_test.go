//go:build !encore_local

// Encore's Go links no test whose packages leave its runtime out.

package main

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestFollow(t *testing.T) {
	const events = `{"Action":"start","Package":"a"}
{"Action":"output","Package":"a","Test":"TestPage","Output":"=== RUN   TestPage\n"}
{"Action":"output","Package":"a","Test":"TestPage","Output":"    a_test.go:12: no chromium in the PATH\n"}
{"Action":"output","Package":"a","Test":"TestPage","Output":"--- SKIP: TestPage (0.00s)\n"}
{"Action":"skip","Package":"a","Test":"TestPage"}
{"Action":"output","Package":"a","Test":"TestWrong","Output":"    a_test.go:20: wrong\n"}
{"Action":"fail","Package":"a","Test":"TestWrong"}
{"Action":"output","Package":"a","Test":"TestRight","Output":"=== RUN   TestRight\n"}
{"Action":"pass","Package":"a","Test":"TestRight"}
{"Action":"output","Package":"a","Test":"TestHangs","Output":"panic: test timed out\n"}
{"Action":"output","Package":"a","Output":"FAIL\ta\t0.1s\n"}
{"Action":"fail","Package":"a"}
{"Action":"output","Package":"b","Output":"PASS\n"}
{"Action":"output","Package":"b","Output":"ok  \tb\t0.1s\n"}
{"Action":"pass","Package":"b"}
{"Action":"skip","Package":"c"}
`
	var out bytes.Buffer
	skipped := follow(json.NewDecoder(strings.NewReader(events)), &out)
	if want := []string{"a: no chromium in the PATH (tests: 1)"}; !slices.Equal(skipped, want) {
		t.Errorf("skipped %q, want %q", skipped, want)
	}
	const printed = "    a_test.go:20: wrong\nFAIL\ta\t0.1s\npanic: test timed out\nok  \tb\t0.1s\n"
	if out.String() != printed {
		t.Errorf("printed %q, want %q", &out, printed)
	}
}
