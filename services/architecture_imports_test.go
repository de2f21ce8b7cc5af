package services_test

import (
	"cmp"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// suites end in "test": conformance suites that a room's drivers share. Only tests import them.
func isSuite(pkg string) bool { return strings.HasSuffix(pkg, "test") }

// An edge is what one file imports of ours or of others.
type edge struct {
	file, imported string
	ours           bool
}

// edges parses the imports of every Go file below root. No child process runs,
// so the test cache sees every file that was read.
func edges(t *testing.T, root fs.FS) []edge {
	t.Helper()
	var found []edge
	for _, top := range []string{"api", "charts", "cmd", "controllers", "internal", "services"} {
		err := fs.WalkDir(root, top, func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(file, ".go") {
				return skipMissing(file, top, err)
			}
			source, err := fs.ReadFile(root, file)
			if err != nil {
				return err
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, source, parser.ImportsOnly)
			if err != nil {
				return err
			}
			for _, spec := range parsed.Imports {
				imported, ours := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), module)
				found = append(found, edge{file, imported, ours})
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// violations returns what below root breaks the rules, sorted. Tests may import
// any room of ours but hack, whose folders are programs, and drivers that are
// listed for them.
func violations(t *testing.T, root fs.FS) []string {
	t.Helper()
	var found []string
	for _, e := range edges(t, root) {
		if why := e.fault(); why != "" {
			found = append(found, e.file+": "+why)
		}
	}
	slices.Sort(found)
	return found
}

// fault says why the file must not import what it does, or "".
func (e edge) fault() string {
	switch pkg := path.Dir(e.file); {
	case e.ours && within(e.imported, "hack"):
		return "nothing imports " + e.imported
	case e.inTest() && e.ours && isDriver(e.imported) && !mayOpen(testDrivers, pkg, e.imported):
		return "the tests of " + pkg + " must not open " + e.imported
	case e.inTest():
		return ""
	case !e.ours && foreign(pkg, e.imported):
		return pkg + " must not import " + e.imported
	case !e.ours:
		return ""
	case isDriver(e.imported) && within(e.file, "cmd") && !mayNameDrivers(e.file, e.imported):
		return "drivers are named in cmd/*/drivers.go, those of a directory in cmd/internal/embedded, those of Google in cmd/internal/google: " + e.imported
	default:
		return forbidden(pkg, e.imported)
	}
}

// mayOpen says whether a package's tests may open a driver: one of their own
// capability, or one that the table has for the room.
func mayOpen(table map[string][]string, pkg, driver string) bool {
	_, listed := ruleOf(table, pkg)
	return ownDriver(pkg, driver) || slices.Contains(listed, driver)
}

// ownDriver says whether the driver stands behind the contract that the package
// is, or is part of. The kinds of models share none of their tests.
func ownDriver(pkg, driver string) bool {
	contract := path.Dir(driver)
	return within(pkg, driver) || contract != "services/model" && within(pkg, contract)
}

// closed returns the rows of the table for tests that no test below root needs, sorted.
func closed(t *testing.T, root fs.FS, table map[string][]string) []string {
	t.Helper()
	used := map[string]bool{}
	for _, e := range edges(t, root) {
		pkg := path.Dir(e.file)
		if room, listed := ruleOf(table, pkg); e.inTest() && slices.Contains(listed, e.imported) && !ownDriver(pkg, e.imported) {
			used[room+" → "+e.imported] = true
		}
	}
	var found []string
	for room, listed := range table {
		for _, driver := range listed {
			if row := room + " → " + driver; !used[row] {
				found = append(found, row)
			}
		}
	}
	slices.Sort(found)
	return found
}

func (e edge) inTest() bool { return strings.HasSuffix(e.file, "_test.go") }

// idle returns the permissions of table that no file below root but a test uses,
// sorted: what nobody needs is not allowed.
func idle(t *testing.T, root fs.FS, table map[string][]string) []string {
	t.Helper()
	used := map[string]bool{}
	for _, e := range edges(t, root) {
		room, allowed := ruleOf(table, path.Dir(e.file))
		if !e.ours || e.inTest() || within(e.imported, room) {
			continue
		}
		for _, a := range allowed {
			if permits(a, e.imported) {
				used[room+" → "+a] = true
			}
		}
	}
	var found []string
	for room, allowed := range table {
		for _, a := range allowed {
			if !used[room+" → "+a] {
				found = append(found, room+" → "+a)
			}
		}
	}
	slices.Sort(found)
	return found
}

func skipMissing(file, top string, err error) error {
	if err != nil && file == top && os.IsNotExist(err) {
		return fs.SkipDir
	}
	return err
}

// foreign says whether the package must not import what is not ours.
func foreign(pkg, imported string) bool {
	acts := func(p string) bool { return within(imported, p) }
	room, _ := ruleOf(rules, pkg)
	if known, is := narrow[room]; is && strings.Contains(strings.Split(imported, "/")[0], ".") {
		return !slices.ContainsFunc(known, acts)
	}
	for room, known := range pure {
		if within(pkg, room) {
			return !slices.Contains(known, imported)
		}
	}
	kubernetes := within(imported, "k8s.io") || within(imported, "sigs.k8s.io")
	standIn := isSuite(pkg) && isDriver(path.Dir(pkg)) // of a driver's cloud, for its tests
	cloud := within(pkg, "services") && !isDriver(pkg) && !standIn && slices.ContainsFunc(clouds, acts)
	return kubernetes && !mayKnowKubernetes(pkg) || cloud
}

// mayKnowKubernetes says whether the package may talk to a cluster. Of the
// services one driver may: the traffic plan lies in a ConfigMap.
func mayKnowKubernetes(pkg string) bool {
	return !within(pkg, "services") || pkg == "services/model/traffic/configmap"
}

// isDriver says whether the package stands behind a capability's contract: it is
// a folder in the contract's, or one of the kinds of models.
func isDriver(pkg string) bool {
	if slices.Contains([]string{"services/model/pat", "services/model/preview", "services/model/triton"}, pkg) {
		return true
	}
	contract := path.Dir(pkg)
	return contract != "services/model" && slices.Contains(capabilities, contract) && !isSuite(pkg)
}

// mayNameDrivers says whether a file of a command is a binary's list of drivers,
// or one of the data directory's drivers or of Google's; the kinds of models have a room
// of their own.
func mayNameDrivers(file, driver string) bool {
	list, err := path.Match("cmd/*/drivers.go", file)
	google := slices.Contains(googles, driver)
	return err == nil && list || within(file, "cmd/internal/embedded") && !google || within(file, "cmd/internal/google") && google ||
		within(file, "cmd/internal/models") && path.Dir(driver) == "services/model"
}

// forbidden says why package importer must not import package imported, or "".
func forbidden(importer, imported string) string {
	if isSuite(imported) && !isSuite(importer) && !slices.ContainsFunc(labs, func(lab string) bool { return within(importer, lab) }) {
		return "only tests import " + imported
	}
	if slices.ContainsFunc(labs, func(lab string) bool { return within(imported, lab) && !within(importer, lab) }) {
		return "only tests and hack import " + imported
	}
	room, allowed := ruleOf(rules, importer)
	if within(imported, room) && room != "services" {
		return forbiddenInside(room, importer, imported)
	}
	if slices.ContainsFunc(allowed, func(a string) bool { return permits(a, imported) }) {
		return ""
	}
	return room + " must not import " + imported
}

// permits says whether the permission covers the package.
func permits(permission, imported string) bool {
	contract, only := strings.CutPrefix(permission, "=")
	return only && imported == contract || !only && within(imported, permission)
}

func forbiddenInside(room, importer, imported string) string {
	shared := within(imported, room+"/internal") && importer != room // by the drivers
	if !slices.Contains(capabilities, room) || imported == room || shared || isSuite(importer) {
		return ""
	}
	if importer == room {
		return "contract " + importer + " must not import " + imported
	}
	return "driver " + importer + " must not import " + imported
}

func ruleOf(table map[string][]string, pkg string) (room string, allowed []string) {
	rooms := make([]string, 0, len(table))
	for r := range table {
		if within(pkg, r) {
			rooms = append(rooms, r)
		}
	}
	if len(rooms) == 0 {
		return pkg, nil
	}
	room = slices.MaxFunc(rooms, func(a, b string) int { return cmp.Compare(len(a), len(b)) })
	return room, table[room]
}

func within(pkg, room string) bool {
	return pkg == room || strings.HasPrefix(filepath.ToSlash(pkg), room+"/")
}
