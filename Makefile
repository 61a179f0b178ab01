# Each target makes the virtual environment it needs; Python 3.11 with pip is all that must be there.
PYTHON ?= python3
VENV   ?= .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Where the environment forbids byte code on the disk, each start would compile all modules anew (a second).
COMPILE := $(BIN)/python -m compileall -q nanobot

.PHONY: serve test check bench compare files memory eval hostile escape chaos fuzz fuzz-api docs vendor lock clean

serve: $(VENV)/.serve           ## start the server (the small model of this machine, if nothing else is configured)
	$(BIN)/nanobot serve $(ARGS)

# Without byte code on the disk, each run would prepare the assertions of all tests anew: ten seconds of each core.
test: export PYTHONDONTWRITEBYTECODE =
# A process that ends in the middle of a test ends the run: xdist would give the same test to the next process,
# and in the end wait for ever (pytest-xdist 1371 and 1378).
test: $(VENV)/.dev              ## run the tests, a file at a time on each core (ARGS="-n 0 --pdb" for one process)
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder --max-worker-restart 0 $(ARGS)

check: $(VENV)/.dev             ## format, lint, types, import contracts, docs, tests: all that CI asks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) test
	$(BIN)/python -m tests.api --cases 500 --examples 5

docs: $(VENV)/.dev              ## check that the documentation is true
	$(BIN)/python -m pytest tests/docs -p no:cacheprovider $(ARGS)

bench: $(VENV)/.dev             ## measure, in ratios to a floor of the same run
	$(BIN)/python -m bench $(ARGS)

compare: $(VENV)/.dev           ## measure this checkout beside another one: make compare WITH=../old
	$(BIN)/python -m bench.compare $(WITH) $(ARGS)

files: $(VENV)/.corpus          ## write a corpus of documents, read it, and put the counts into docs/files.md
	$(BIN)/python -m bench.files --write $(ARGS)

memory: $(VENV)/.dev            ## measure what is found again of long conversations, and what it costs
	$(BIN)/python -m bench.memory $(ARGS)

eval: $(VENV)/.dev              ## give the agent tasks, and check what came of them (Linux; ARGS="--model local" for a real model)
	$(BIN)/python -m bench.eval $(ARGS)

hostile: $(VENV)/.dev           ## attack a server, and see what others notice of it (Linux)
	$(BIN)/python -m bench.hostile $(ARGS)

chaos: $(VENV)/.dev             ## kill, pause and break things for ten minutes
	$(BIN)/python -m tests.chaos --minutes 10 $(ARGS)

fuzz-api: $(VENV)/.dev          ## 20,000 requests made up from the API's own document, all checks on
	$(BIN)/python -m tests.api --cases 20000 $(ARGS)

fuzz: $(VENV)/.fuzz             ## throw an hour of made-up input at every parser (Linux)
	$(BIN)/python -m tests.fuzz --minutes 60 $(ARGS)

escape: $(VENV)/.dev            ## attempt to get out of the sandbox of commands, and print what got through (root, Linux)
	$(BIN)/python -m tests.escape $(ARGS)

vendor: $(VENV)/.dev            ## fetch the libraries of the chat page anew, and verify them (npm)
	$(BIN)/python scripts/vendor.py $(ARGS)

lock: $(VENV)/.dev              ## write requirements/*.txt and tests/clients/python/*.txt anew
	$(PIP) install --quiet "uv==0.13.9"
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra documents --extra local --group build pyproject.toml -o requirements/serve.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra documents --extra local --extra vectors --group build --group dev pyproject.toml -o requirements/dev.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --group fuzz -o requirements/fuzz.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --group corpus -o requirements/corpus.txt
	for name in aider libraries mcp_servers uv; do $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header tests/clients/python/$$name.in -o tests/clients/python/$$name.txt; done

clean:
	rm -rf $(VENV)

$(VENV)/.venv:
	$(PYTHON) -c "import sys; v = sys.version_info; v >= (3, 11) or sys.exit('nanobot needs Python 3.11 or newer; this is %d.%d (set PYTHON=...)' % v[:2])"
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.serve: $(VENV)/.venv requirements/serve.txt pyproject.toml
	@echo "installing nanobot's packages into $(VENV) (once, some 100 MB)"
	$(PIP) install --require-hashes --only-binary :all: -r requirements/serve.txt
	$(PIP) install --no-deps --no-build-isolation -e .
	$(COMPILE)
	touch $@

$(VENV)/.dev: $(VENV)/.venv requirements/dev.txt pyproject.toml
	$(PIP) install --require-hashes --only-binary :all: -r requirements/dev.txt
	$(PIP) install --no-deps --no-build-isolation -e .
	$(COMPILE)
	touch $@ $(VENV)/.serve

$(VENV)/.corpus: $(VENV)/.dev requirements/corpus.txt
	$(PIP) install --require-hashes -r requirements/corpus.txt
	touch $@

$(VENV)/.fuzz: $(VENV)/.dev requirements/fuzz.txt
	$(PIP) install --require-hashes --only-binary :all: -r requirements/fuzz.txt
	touch $@
