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
	style=0; $(BIN)/ruff check || style=1; $(BIN)/pytest --nbval && exit $$style

# Options by OPTIONS="--only exact --repeats 3", see `python -m tests.benchmarks --help`.
bench: $(READY)
	$(BIN)/python -m tests.benchmarks $(OPTIONS)

# Trains and measures what the recorded results need and is not recorded yet; resumes where it was
# stopped.  Options by OPTIONS="--list" or names of parts, see `python -m helpers.reference --help`.
reference: $(READY)
	$(BIN)/python -m helpers.reference $(OPTIONS)

# Takes the built book and the environment away; runs/ and data/ are yours and stay.
clean:
	rm -rf .venv book/_build book/node_modules .pytest_cache .ruff_cache
	find helpers tests notebooks book -name __pycache__ -prune -exec rm -rf {} +

# Not an error without npm, or without a network: the build says where the pages then get them from.
$(SCRIPTS): book/package-lock.json
	@if command -v npm >/dev/null; then npm ci --prefix book --loglevel=error >/dev/null && touch $@ || true; fi

$(READY): requirements.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found: install Python 3.11 or newer, or name one: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$$($(PYTHON) --version) is too old: install Python 3.11 or newer, or name one: make PYTHON=python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --requirement requirements.txt
	@touch $@
