package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// The language of auth/config.cue is CUE. The file uses little of it: fields at the
// top or in the block of an environment, with a text, a list of texts or a boolean.
// This reader takes that much and answers anything else with an error. CUE itself
// would bring more modules than the rest of the app.
var (
	fieldLine   = regexp.MustCompile(`^([A-Z]\w*):\s*(.*)$`)
	defaultMark = regexp.MustCompile(`^[^"]*\|\s*\*`)
	blockLine   = regexp.MustCompile(`^if\s+(.*?)\s*\{$`)
	named       = regexp.MustCompile(`^(!?)_(\w+)$`)
	compared    = regexp.MustCompile(`^#Meta\.Environment\.(Cloud|Type)\s*(==|!=)\s*"(\w+)"$`)
)

// environments are the blocks of the file, with what #Meta.Environment says there.
var environments = map[string]map[string]string{
	"local":      {"Cloud": "local", "Type": "development"},
	"staging":    {"Cloud": "aws", "Type": "development"},
	"preview":    {"Cloud": "aws", "Type": "ephemeral"},
	"production": {"Cloud": "aws", "Type": "production"},
}

// holds decides on the condition of a block.
func holds(condition, environment string) (bool, error) {
	all := true
	for term := range strings.SplitSeq(condition, "&&") {
		term = strings.TrimSpace(term)
		if match := named.FindStringSubmatch(term); match != nil && environments[match[2]] != nil {
			all = all && (match[2] == environment) == (match[1] == "")
		} else if match := compared.FindStringSubmatch(term); match != nil {
			all = all && (environments[environment][match[1]] == match[3]) == (match[2] == "==")
		} else {
			return false, errors.New("the condition is not read here: write if _production { or another environment")
		}
	}
	return all, nil
}

// value is a field's value in CUE's notation.
type value string

// parseConfig returns the fields of an environment. A plain value counts before a
// default.
func parseConfig(text, environment string) (map[string]value, error) {
	if environments[environment] == nil {
		return nil, fmt.Errorf("-env %s: it is local, staging, preview or production", environment)
	}
	values, plain := map[string]value{}, map[string]bool{}
	counts := true
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := withoutComment(lines[i])
		if match := blockLine.FindStringSubmatch(line); match != nil {
			var err error
			if counts, err = holds(match[1], environment); err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
		}
		if line == "}" {
			counts = true
		}
		match := fieldLine.FindStringSubmatch(line)
		if match == nil {
			continue
		}
		name, defaulted := match[1], false
		var rest string
		rest, i = wholeValue(match[2], lines, i)
		if match := defaultMark.FindString(rest); match != "" {
			rest, defaulted = rest[len(match):], true
		}
		if counts && !isType(rest) && (!plain[name] || !defaulted) {
			values[name], plain[name] = value(rest), !defaulted
		}
	}
	return values, nil
}

// isType reports whether a value only says of which type the field is.
func isType(v string) bool { return v == "string" || v == "bool" || v == "[...string]" }

// wholeValue joins the lines of a list or of a text in triple quotes.
func wholeValue(first string, lines []string, i int) (string, int) {
	whole := first
	if strings.HasSuffix(first, `"""`) {
		for i+1 < len(lines) && strings.TrimSpace(lines[i+1]) != `"""` {
			i++
			whole += "\n" + strings.TrimSpace(lines[i])
		}
		return whole, i + 1
	}
	for strings.Count(whole, "[") > strings.Count(whole, "]") && i+1 < len(lines) {
		i++
		whole += withoutComment(lines[i])
	}
	return whole, i
}

// withoutComment cuts a comment, which begins with two slashes outside of a text.
func withoutComment(line string) string {
	for at := range line {
		if strings.HasPrefix(line[at:], "//") && strings.Count(line[:at], `"`)%2 == 0 {
			line = line[:at]
			break
		}
	}
	return strings.TrimSpace(line)
}

var trailingComma = regexp.MustCompile(`,\s*\]$`)

// decode reads a value, which is JSON but for a comma at the end of a list and
// texts in triple quotes.
func (v value) decode(into any) error {
	text := string(v)
	if rest, ok := strings.CutPrefix(text, `"""`); ok {
		quoted, err := json.Marshal(strings.TrimPrefix(rest, "\n"))
		if err != nil {
			return err
		}
		text = string(quoted)
	}
	if err := json.Unmarshal([]byte(trailingComma.ReplaceAllString(text, "]")), into); err != nil {
		return errors.New("the value is not read here: write a plain text, list or boolean, or give a flag or a variable")
	}
	return nil
}
