module github.com/clarity-loop/clarity/hack/emulators

go 1.26.0

tool (
	github.com/fsouza/fake-gcs-server
)
