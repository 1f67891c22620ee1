// Package docs_test keeps the documents true where a program can tell.
package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes/pagerules"
)

var documents = []string{"../README.md", "../ARCHITECTURE.md", "../CHANGELOG.md", "运维手册.md", "迁移.md", "定义仓库.md"}

var link = regexp.MustCompile(`\]\(([^)#\s]+)`)

func TestLinksLeadSomewhere(t *testing.T) {
	for _, doc := range documents {
		text, err := os.ReadFile(doc)
		require.NoError(t, err)
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			_, err := os.Stat(filepath.Join(filepath.Dir(doc), m[1]))
			require.NoError(t, err, "%s links to it", doc)
		}
	}
}

// TestTheManualQuotesWhatProgramsSay: an operator searches for the words on the screen.
func TestTheManualQuotesWhatProgramsSay(t *testing.T) {
	text, err := os.ReadFile("运维手册.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(text), "| 提示 | 处理 |")
	require.True(t, found, "the manual has no table of messages")
	var source strings.Builder
	for _, dir := range []string{"../agent", "../coordinator", "../probes", "../dashboards"} {
		require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			body, err := os.ReadFile(path)
			source.Write(body)
			return err
		}))
	}
	sentences := regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(table, -1)
	require.NotEmpty(t, sentences)
	for _, m := range sentences {
		require.True(t, strings.Contains(source.String(), m[1]), "no program says %q", m[1])
	}
}

// TestTheManualExplainsEveryClass reads the closed list of failure classes.
func TestTheManualExplainsEveryClass(t *testing.T) {
	text, err := os.ReadFile("运维手册.md")
	require.NoError(t, err)
	source, err := os.ReadFile("../probes/class.go")
	require.NoError(t, err)
	classes := regexp.MustCompile(`Class\w+\s+Class\s*=\s*"(\w+)"`).FindAllStringSubmatch(string(source), -1)
	require.NotEmpty(t, classes)
	for _, m := range classes {
		require.True(t, strings.Contains(string(text), "`"+m[1]+"`"), "class %s is not explained", m[1])
	}
}

// TestPageRulesAreExplained reads the names of the rules from their table.
func TestPageRulesAreExplained(t *testing.T) {
	text, err := os.ReadFile("定义仓库.md")
	require.NoError(t, err)
	require.NotEmpty(t, pagerules.Names())
	for _, name := range pagerules.Names() {
		require.True(t, strings.Contains(string(text), "`"+name+"`"), "rule %s is not explained", name)
	}
}
