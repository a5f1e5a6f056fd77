# MedicalGPT on NVIDIA GPUs. From the repository: docker build -f docker/cuda.Dockerfile -t medicalgpt:cuda .
# torch's wheel brings CUDA's libraries with it; the host needs the driver and the NVIDIA Container Toolkit. No GPU has run this
# image yet.
FROM python:3.11.14-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE requirements.lock ./
COPY src src
COPY configs configs
COPY examples examples
RUN python -m venv /opt/medicalgpt \
    && /opt/medicalgpt/bin/pip install --no-cache-dir -c requirements.lock ".[quant,serve,structured,llamacpp,xlsx,curate,documents]"

FROM python:3.11.14-slim-bookworm
# A compiler: FlexAttention's kernels are compiled on the machine that runs them. Debian removes old versions, so none is named.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/medicalgpt /opt/medicalgpt
RUN useradd --create-home --uid 10001 medicalgpt && install -d -o medicalgpt /work /cache
ENV PATH=/opt/medicalgpt/bin:$PATH MEDICALGPT_CACHE=/cache PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /work
VOLUME ["/work", "/cache"]
ENTRYPOINT ["medicalgpt"]
CMD ["--help"]
