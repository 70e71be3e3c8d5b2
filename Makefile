# Two commands do everything on a fresh machine: `make run` and `make test`.
.PHONY: build
build:
	tools/install build test
	cmake --preset release
	cmake --build --preset release
