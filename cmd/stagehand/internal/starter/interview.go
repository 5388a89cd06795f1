package starter

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// Asker asks a person.
type Asker struct {
	in  *bufio.Reader
	out io.Writer
}

// NewAsker asks on out and reads the answers from in, line by line.
func NewAsker(in io.Reader, out io.Writer) *Asker { return &Asker{bufio.NewReader(in), out} }

// ErrNoAnswer: the person went away.
var ErrNoAnswer = errors.New("there was no further answer: nothing was written")

// ask asks until check takes the answer. An empty one stands for usual.
func (a *Asker) ask(ctx context.Context, question, usual string, check func(string) error) (string, error) {
	for {
		fmt.Fprint(a.out, question)
		if usual != "" {
			fmt.Fprintf(a.out, " [%s]", usual)
		}
		fmt.Fprint(a.out, ": ")
		answer, err := a.line(ctx)
		if err != nil {
			fmt.Fprintln(a.out)
			return "", err
		}
		if answer == "" {
			answer = usual
		}
		if err := check(answer); err != nil {
			fmt.Fprintf(a.out, "  %v\n", err)
			continue
		}
		return answer, nil
	}
}

// line reads one line. A read that is under way when ctx ends goes on, until the process does.
func (a *Asker) line(ctx context.Context) (string, error) {
	type answer struct {
		text string
		err  error
	}
	read := make(chan answer, 1)
	go func() {
		text, err := a.in.ReadString('\n')
		read <- answer{text, err}
	}()
	select {
	case <-ctx.Done():
		return "", context.Cause(ctx)
	case got := <-read:
		if got.err != nil && (got.text == "" || !errors.Is(got.err, io.EOF)) {
			return "", ErrNoAnswer
		}
		return strings.TrimSpace(got.text), nil
	}
}

// Agree asks a question that only yes answers with true.
func (a *Asker) Agree(ctx context.Context, question string) (bool, error) {
	answer, err := a.ask(ctx, question+" (y/n)", "n", func(s string) error {
		if s = strings.ToLower(s); s != "y" && s != "n" && s != "yes" && s != "no" {
			return errors.New("y or n")
		}
		return nil
	})
	return strings.HasPrefix(strings.ToLower(answer), "y"), err
}

var labelled = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func named(s string) error {
	if !labelled.MatchString(s) {
		return errors.New("lower-case letters, digits and - inside: containers are named after it")
	}
	return nil
}

func number(s string) error {
	if n, err := strconv.Atoi(s); s != "" && (err != nil || n < 1 || n > 65535) {
		return errors.New("a port from 1 to 65535, or nothing")
	}
	return nil
}

// Interview asks for the services of a stack, in the order in which they come up, and
// returns its stack file. usual is the name of a stack that has not been given another.
func (a *Asker) Interview(ctx context.Context, usual string) (string, error) {
	fmt.Fprintln(a.out, "A stack is helpers, which do one job and end, and services, which stay.\nName them in the order in which they come up; each waits for the one before.")
	if named(usual) != nil {
		usual = "demo"
	}
	name, err := a.ask(ctx, "Name of the stack", usual, named)
	if err != nil {
		return "", err
	}
	var services []Service
	for {
		s, more, err := a.service(ctx, services)
		if err != nil {
			return "", err
		}
		if !more {
			return FromAnswers(name, services), nil
		}
		services = append(services, s)
	}
}

// service asks for one service; more is false where there are no more.
func (a *Asker) service(ctx context.Context, before []Service) (s Service, more bool, err error) {
	question := "What comes first? Its name"
	if len(before) > 0 {
		question = "What comes next? Its name (nothing: that is all)"
	}
	s.Name, err = a.ask(ctx, question, "", func(answer string) error {
		if answer == "" && len(before) > 0 {
			return nil
		}
		for _, other := range before {
			if other.Name == answer {
				return errors.New("that name is taken")
			}
		}
		return named(answer)
	})
	if err != nil || s.Name == "" {
		return s, false, err
	}
	s.Image, err = a.ask(ctx, "  image of "+s.Name, "", func(answer string) error {
		if answer == "" || strings.ContainsAny(answer, " \t\"'{}[],") {
			return errors.New("an image such as postgres:17")
		}
		return nil
	})
	if err != nil {
		return s, false, err
	}
	if s.Helper, err = a.Agree(ctx, "  does it do one job and end"); err != nil {
		return s, false, err
	}
	if s.Command, err = a.ask(ctx, "  its command (nothing: the image's own)", "", func(string) error { return nil }); err != nil || s.Helper {
		return s, err == nil, err
	}
	port, err := a.ask(ctx, "  port inside it that is open when it is ready (nothing: none)", "", number)
	if err != nil || port == "" {
		return s, err == nil, err
	}
	s.Port, _ = strconv.Atoi(port)
	published, err := a.ask(ctx, "  port of this machine that leads there (nothing: none)", "", number)
	s.Published, _ = strconv.Atoi(published)
	return s, err == nil, err
}
