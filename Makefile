# `make book` builds the site into book/_build/html, `make pdf` prints it as one PDF, `make test` runs
# every test, `make bench` times everything against plain PyTorch.  Each first makes the environment
# in .venv when it is missing or when requirements.txt is newer.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# Scripts that the site serves itself: npm's own record of what it put into book/node_modules.
SCRIPTS := book/node_modules/.package-lock.json

.PHONY: book site pdf test bench reference clean

# With the PDF where there is Chromium to print it.
book: site
	$(BIN)/python book/pdf.py --if-possible

pdf: site
	$(BIN)/python book/pdf.py

site: $(READY) $(SCRIPTS)
	@# After a warning every page is read again next time, or a second build would hide it.
	$(BIN)/jupyter-book build book -W -n --keep-going || { rm -rf book/_build/.doctrees; exit 1; }

test: $(READY)
	@# Both run: a matter of style must not hide a failing test.
	style=0; $(BIN)/ruff check || style=1; $(BIN)/lint-imports || style=1; $(BIN)/pytest --nbval && exit $$style

# Options by OPTIONS="--only exact --repeats 3", see `python -m benchmarks --help`.
bench: $(READY)
	$(BIN)/python -m benchmarks $(OPTIONS)

# Trains and measures what the recorded results need and is not recorded yet; resumes where it was
# stopped.  Options by OPTIONS="--list" or names of parts, see `python -m study.reference --help`.
reference: $(READY)
	$(BIN)/python -m study.reference $(OPTIONS)

# Takes the built book and the environment away; runs/ and data/ are yours and stay.
clean:
	rm -rf .venv book/_build book/node_modules *.egg-info .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
	find helpers study tests benchmarks notebooks book -name __pycache__ -prune -exec rm -rf {} +

# Not an error without npm, or without a network: the build says where the pages then get them from.
$(SCRIPTS): book/package-lock.json
	@if command -v npm >/dev/null; then npm ci --prefix book --loglevel=error >/dev/null && touch $@ || true; fi

$(READY): requirements.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found: install Python 3.11 or newer, or name one: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$$($(PYTHON) --version) is too old: install Python 3.11 or newer, or name one: make PYTHON=python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --requirement requirements.txt
	@# For editing: what is imported is this checkout, from whatever folder.
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --config-settings editable_mode=compat --editable .
	@touch $@
