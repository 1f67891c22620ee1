package definition

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
)

// ReadDir reads the files of a definitions' folder that Compile looks at,
// ordered by path. Symbolic links are refused: what a revision means must not
// depend on anything outside of it.
func ReadDir(dir string) ([]File, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the definitions' folder: %w", err)
	}
	defer root.Close()
	var files []File
	var total int
	var links Mistakes
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fmt.Errorf("reading %s: %w", name, err)
		case d.IsDir():
			return skipDir(name)
		case !Relevant(name):
			return nil
		case d.Type()&fs.ModeSymlink != 0:
			links = append(links, LinkMistake(name))
			return nil
		case !d.Type().IsRegular():
			return nil
		}
		if len(files) == MaxFiles {
			return fmt.Errorf("reading %s: want at most %d files; split the repository", dir, MaxFiles)
		}
		f, err := readFile(root, name)
		if err != nil {
			return err
		}
		if total += len(f.Data); total > MaxTotalSize {
			return fmt.Errorf("reading %s: want at most %d bytes in all files together; split the repository", dir, MaxTotalSize)
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(links) > 0 {
		return nil, links
	}
	return files, nil
}

// LinkMistake is the mistake of a symbolic link among the definitions.
func LinkMistake(name string) Mistake {
	return Mistake{File: name, Text: "want a file, got a symbolic link; put the file itself there"}
}

func skipDir(name string) error {
	if name == "." || name == "services" || name == "silences" || name == "roots" || path.Dir(name) != "." && !hidden(name) {
		return nil
	}
	return fs.SkipDir
}

// readFile reads one byte more than is allowed, so that Compile says where and
// by how much a file is too large.
func readFile(root *os.Root, name string) (File, error) {
	f, err := root.Open(name)
	if err != nil {
		return File{}, fmt.Errorf("opening %s: %w", name, err)
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxFileSize+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return File{}, fmt.Errorf("reading %s: %w", name, err)
	}
	return File{Path: name, Data: data}, nil
}
