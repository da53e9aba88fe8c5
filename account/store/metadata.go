package store

import (
	"bytes"
	"encoding/json"
	"strings"
)

const (
	// maxMetadataBytes is twice what Clerk allows
	// (https://clerk.com/docs/guides/users/extending): characters can be written as
	// escapes.
	maxMetadataBytes = 16 << 10
	maxMetadataDepth = 64
	// maxDigits bounds an integer. PostgreSQL stores all of its digits.
	maxDigits = 40
)

// noMetadata stands for empty metadata.
var noMetadata = json.RawMessage("{}")

// storableMetadata returns metadata as PostgreSQL can store it. Metadata that are no
// object, or beyond the bounds, count as none: the user's event must not fail for
// ever.
func storableMetadata(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 || len(raw) > maxMetadataBytes {
		return noMetadata
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var object map[string]any
	if decoder.Decode(&object) != nil || object == nil {
		return noMetadata
	}
	clean, ok := storableJSON(object, maxMetadataDepth)
	if !ok {
		return noMetadata
	}
	text, err := json.Marshal(clean)
	if err != nil {
		return noMetadata
	}
	return text
}

// storableJSON removes NUL characters, which jsonb cannot hold, and returns false
// for a value that is too deep or has a number that is too long.
func storableJSON(value any, depth int) (any, bool) {
	if depth == 0 {
		return nil, false
	}
	switch value := value.(type) {
	case string:
		return strings.ReplaceAll(value, "\x00", ""), true
	case json.Number:
		if !strings.ContainsAny(value.String(), ".eE") {
			return value, len(value) <= maxDigits
		}
		number, err := value.Float64()
		return number, err == nil
	case []any:
		for i := range value {
			clean, ok := storableJSON(value[i], depth-1)
			if !ok {
				return nil, false
			}
			value[i] = clean
		}
	case map[string]any:
		clean := make(map[string]any, len(value))
		for name, member := range value {
			member, ok := storableJSON(member, depth-1)
			if !ok {
				return nil, false
			}
			clean[strings.ReplaceAll(name, "\x00", "")] = member
		}
		return clean, true
	}
	return value, true
}
