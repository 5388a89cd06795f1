// Package probeimage makes the image of the containers that are stagehand's
// own: nothing but its program.
package probeimage

import (
	"archive/tar"
	"cmp"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/containers/docker/internal/pull"
)

const (
	// Name of the image, without its tag.
	Name = "stagehand-probe"
	// Program is the program's path in the image.
	Program = "/stagehand"
	// Variable of the environment that names the program where the running one does not suit.
	Variable = "STAGEHAND_PROBE_BINARY"
)

// Ensure makes the image, named after the program's content, unless the engine
// has it, and returns its name. The program is the one at path; where that is
// empty, the one that Variable names, then the running one. arch tells the
// engine's processor, as Go names it.
func Ensure(ctx context.Context, api *client.Client, path string, arch func(context.Context) (string, error)) (string, error) {
	path = cmp.Or(path, os.Getenv(Variable))
	if path == "" {
		executable, err := os.Executable()
		if err != nil {
			return "", err
		}
		path = executable
	}
	machine, err := arch(ctx)
	if err != nil {
		return "", err
	}
	if err := suits(path, machine); err != nil {
		return "", &containers.AdvisedError{
			Err:  fmt.Errorf("%s cannot run in a container of this engine (linux/%s): %w", path, machine, err),
			Mend: "name a static stagehand for it with " + Variable,
		}
	}
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	digest, size, err := identify(file)
	if err != nil {
		return "", err
	}
	tag := Name + ":" + digest
	if _, err := api.ImageInspect(ctx, tag); !cerrdefs.IsNotFound(err) {
		return tag, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	return tag, importProgram(ctx, api, tag, file, size)
}

// identify returns what tells the program from others, and its size. Go's
// linker notes a hash of what it linked; where it was told not to, all is read,
// which takes 70 ms for 26 MB.
func identify(file *os.File) (string, int64, error) {
	info, err := file.Stat()
	if err != nil {
		return "", 0, err
	}
	hash := sha256.New()
	program, err := elf.NewFile(file)
	if err != nil {
		return "", 0, err
	}
	var note []byte
	if section := program.Section(".note.go.buildid"); section != nil {
		note, _ = section.Data() // what cannot be read is not used
	}
	if len(note) < minBuildID {
		if _, err := io.Copy(hash, file); err != nil {
			return "", 0, err
		}
	}
	fmt.Fprintf(hash, "%d %x", info.Size(), note)
	return hex.EncodeToString(hash.Sum(nil)[:8]), info.Size(), nil
}

// minBuildID is the least length of a note that holds an ID: 16 bytes are its heading.
const minBuildID = 16 + 40

// importProgram makes an image of nothing but the program.
func importProgram(ctx context.Context, api *client.Client, tag string, program io.Reader, size int64) error {
	reader, writer := io.Pipe()
	var packing sync.WaitGroup
	packing.Go(func() {
		archive := tar.NewWriter(writer)
		err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: Program[1:], Mode: 0o755, Size: size})
		if err == nil {
			_, err = io.Copy(archive, program)
		}
		writer.CloseWithError(errors.Join(err, archive.Close()))
	})
	defer packing.Wait()
	defer reader.Close()
	body, err := api.ImageImport(ctx, image.ImportSource{Source: reader, SourceName: "-"}, tag, image.ImportOptions{
		Message: "stagehand's probe", Changes: []string{"LABEL " + containers.LabelRole + "=" + containers.RoleProbe},
	})
	if err != nil {
		return err
	}
	return errors.Join(pull.Read(body, nil), body.Close())
}

// suits tells why the program cannot run in an image of nothing else.
func suits(path, arch string) error {
	program, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("it is not a Linux program: %w", err)
	}
	defer func() { _ = program.Close() }() // only read
	for _, part := range program.Progs {
		if part.Type == elf.PT_INTERP {
			return errors.New("it is not linked statically (build with CGO_ENABLED=0)")
		}
	}
	want, known := map[string]elf.Machine{
		"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64, "arm": elf.EM_ARM, "386": elf.EM_386,
		"ppc64le": elf.EM_PPC64, "s390x": elf.EM_S390, "riscv64": elf.EM_RISCV,
	}[arch]
	if known && program.Machine != want {
		return fmt.Errorf("it is for another processor (%s)", program.Machine)
	}
	return nil
}
