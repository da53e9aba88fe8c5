package authz

import (
	"errors"
	"log/slog"
	"testing"

	"encore.dev/beta/errs"
)

func TestAnyErrorDenies(t *testing.T) {
	refused, ok := denied(nil, errors.New("a kind that is not known here"), slog.New(slog.DiscardHandler)).(*errs.Error)
	if !ok || refused.Code != errs.PermissionDenied {
		t.Errorf("got %v", refused)
	}
}
