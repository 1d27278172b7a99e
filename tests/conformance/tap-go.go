// A stand-in for github.com/mndrix/tap-go, which Debian does not package: as much of it as the tests use.

package tap

import (
	"encoding/json"
	"fmt"
	"strings"
)

// T numbers and prints test results.
type T struct {
	done *int
	todo bool
}

func New() *T { return &T{done: new(int)} }

func (t *T) Todo() *T { return &T{t.done, true} }

func (t *T) result(good bool, text string) {
	*t.done++
	verdict := "ok"
	if !good {
		verdict = "not ok"
	}
	fmt.Printf("%s %d %s\n", verdict, *t.done, text)
}

func (t *T) Ok(good bool, text string) {
	if t.todo {
		t.result(good, "# TODO "+text)
	} else {
		t.result(good, "- "+text)
	}
}

func (t *T) Pass(text string) { t.Ok(true, text) }
func (t *T) Fail(text string) { t.Ok(false, text) }

func (t *T) Skip(n int, text string) {
	for ; n > 0; n-- {
		t.result(true, "# SKIP "+text)
	}
}

func (t *T) Header(n int) {
	fmt.Println("TAP version 13")
	if n > 0 {
		fmt.Printf("1..%d\n", n)
	}
}

func (t *T) AutoPlan() { fmt.Printf("1..%d\n", *t.done) }

func (t *T) Diagnostic(text string) {
	for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		fmt.Println("# " + line)
	}
}

func (t *T) Diagnosticf(format string, args ...interface{}) {
	t.Diagnostic(fmt.Sprintf(format, args...))
}

// YAML prints a YAML block; JSON is YAML.
func (t *T) YAML(v interface{}) error {
	b, err := json.MarshalIndent(v, "  ", "  ")
	if err == nil {
		fmt.Printf("  ---\n  %s\n  ...\n", b)
	}
	return err
}
