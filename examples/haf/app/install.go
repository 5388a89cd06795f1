package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// install copies the scripts in from to into/scripts, which is replaced as a whole.
// It may be repeated and killed anywhere: scripts appear complete or not at all.
func install(from, into string, log logger) error {
	target := filepath.Join(into, filepath.Base(from))
	fresh := target + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	count, err := copyTree(from, fresh)
	if err != nil {
		return fmt.Errorf("copy the scripts: %w", err)
	}
	if err := os.RemoveAll(target); err != nil {
		return err
	}
	if err := os.Rename(fresh, target); err != nil {
		return err
	}
	log.Printf("installed %d scripts in %s", count, target)
	return nil
}

func copyTree(from, to string) (files int, err error) {
	err = filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		return os.WriteFile(filepath.Join(to, rel), data, info.Mode().Perm())
	})
	return files, err
}
