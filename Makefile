# Every target sets up what it needs, and keeps what exists already.
.DEFAULT_GOAL := help
SHELL := /bin/bash
# After a plain `su`, root's PATH lacks the folders of losetup and mkfs.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin
.ONESHELL:
.SHELLFLAGS := -euo pipefail -c

.PHONY: help
help: ## show this
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 16

.PHONY: setup
setup: ## install and start what is missing: packages, node_modules, dist/, Docker
	@contrib/dev/setup

.PHONY: demo
demo: setup ## see an app woken, fallen asleep and woken again, with its data still there
	@contrib/dev/demo

.PHONY: demo-fleet
demo-fleet: setup ## see two nodes: an app moves with its volume as its node dies, another grows to four instances and back to none
	@contrib/dev/setup --s3
	node_modules/.bin/node contrib/dev/demo-fleet.ts

.PHONY: demo-deploy
demo-deploy: setup ## see an app from a folder: init, deploy, a second deploy under load, and back
	node_modules/.bin/node contrib/dev/demo-deploy.ts

.PHONY: demo-sessions
demo-sessions: setup ## see an editor with one process for each document, in two browsers
	@contrib/dev/setup --browser
	node_modules/.bin/node contrib/dev/demo-sessions.ts

.PHONY: dev
dev: ## master, nodeproxy and proxy as three processes on a real S3 server, with an app; Ctrl-C ends them
	@contrib/dev/setup --s3
	exec contrib/dev/dev

.PHONY: test
test: ## everything: check, unit tests, journeys over real parts; ONLY=word: the tests whose path has the word
	@summary() { echo; echo '0 passed, 1 failed'; exit 1; }
	contrib/dev/setup --s3 --restic --ec2 --sandboxes --servers --browser --clocks --images --emulators || summary
	[[ -n '$(ONLY)' ]] || npm run --silent check || summary
	npm run --silent test -- $(ONLY)

.PHONY: test-fleet
test-fleet: ## a cluster of nine made-up machines: nodes, fronts and masters that die, are cut off and come back
	@contrib/dev/setup --s3 --clocks
	SHADOW_TEST_CHAOS_SECONDS=$${SHADOW_TEST_CHAOS_SECONDS:-180} npm run --silent test -- test/fleet

.PHONY: check
check: ## format, lint, types, unused code; needs neither root nor Docker
	@contrib/dev/setup --code
	npm run --silent check

.PHONY: unit
unit: ## the tests beside the code, within a minute; need neither root nor Docker
	@contrib/dev/setup --code
	npm run --silent test:unit

.PHONY: unit-slow
unit-slow: ## the unit tests that take longer: real threads and processes, thousands of made-up inputs
	@contrib/dev/setup --code
	npm run --silent test:unit-slow

.PHONY: package
package: ## package/: a Debian package, the tarball that npm install -g takes, and that of @shadow/sdk
	@contrib/dev/setup --code
	contrib/package/make-deb package
	npm pack --silent --pack-destination package
	npm run --silent build:sdk
	npm pack --silent ./dist/sdk --pack-destination package

.PHONY: build
build: setup ## dist/, where a source is newer
	@:

.PHONY: screenshots
screenshots: setup ## docs/images/: pictures of the dashboard of a real Shadow, after a week that its clock made short
	@contrib/dev/setup --browser
	node_modules/.bin/node contrib/dev/screenshots.ts

.PHONY: bench
bench: setup ## name the benchmarks
	@sed -nE 's/^ *"(bench:[a-z-]+)".*/  npm run --silent \1 [-- --json]/p' package.json

.PHONY: soak
soak: setup ## ten minutes of visitors of all kinds at a front: is its memory flat, is a socket or a hold left?
	@npm run --silent bench:soak

.PHONY: clean
clean: ## remove what these targets made in this folder; caches, Docker and data stay
	@rm -rf node_modules dist coverage
