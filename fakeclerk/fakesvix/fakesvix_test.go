package fakesvix

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"
)

func start(t *testing.T, retries ...time.Duration) *Sender {
	t.Helper()
	s, err := New("whsec_c2VjcmV0", retries, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// receive starts a receiver that answers with a status, and reports the id of
// each message after that.
func receive(t *testing.T, status int) (url string, arrived <-chan string) {
	t.Helper()
	ids := make(chan string, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		ids <- r.Header.Get("svix-id")
	}))
	t.Cleanup(receiver.Close)
	return receiver.URL, ids
}

func wantNext(t *testing.T, arrived <-chan string, id string) {
	t.Helper()
	select {
	case got := <-arrived:
		if got != id {
			t.Errorf("%s arrived, want %s", got, id)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("%s did not arrive", id)
	}
}

func TestHeldMessagesAreSentInOrderWithoutTheDropped(t *testing.T) {
	s := start(t)
	if !s.Idle() || s.Send("user.created", nil) == "" || len(s.Messages()) != 0 {
		t.Errorf("without a URL: %+v", s.Messages())
	}
	s.Hold(true) // without a URL too
	first, second, third := s.Send("a", nil), s.Send("b", nil), s.Send("c", nil)
	if err := s.Drop(second); err != nil || s.Drop(second) != ErrUnknownMessage || s.Resend(second) != ErrUnknownMessage {
		t.Errorf("drop: %v", err)
	}
	url, arrived := receive(t, http.StatusNoContent)
	s.SetURL(url)
	if err := s.Resend(third); err != nil { // held, but sent by hand
		t.Fatal(err)
	}
	wantNext(t, arrived, third)
	for deadline := time.Now().Add(10 * time.Second); !s.Messages()[1].Delivered; runtime.Gosched() { // the answer may not have arrived yet
		if time.Now().After(deadline) {
			t.Fatalf("%+v", s.Messages())
		}
	}
	s.Hold(false)
	wantNext(t, arrived, first)
	wantNext(t, arrived, s.Send("d", nil)) // third was delivered already
}

func TestCloseGivesUpWhatIsRepeated(t *testing.T) {
	url, arrived := receive(t, http.StatusInternalServerError)
	s := start(t, time.Hour)
	s.SetURL(url)
	for range 3 {
		wantNext(t, arrived, s.Send("user.created", nil))
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		s.Close()
	}()
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Fatal("close waits for retries")
	}
	s.Send("user.created", nil) // starts nothing
}

func TestASecretThatIsNotBase64IsRefused(t *testing.T) {
	if _, err := New("whsec_?", nil, nil); err == nil {
		t.Error("no error")
	}
}
