# MedicalGPT on CPUs. From the repository:
#   docker build -f docker/cpu.Dockerfile --build-arg TORCH_INDEX=ADDRESS -t medicalgpt:cpu .
# Every package comes in the locked version. TORCH_INDEX is the address that PyTorch's own page of installation names for CPU
# builds; without it torch comes from the default index, with gigabytes of CUDA that a CPU has no use for.
FROM python:3.11.14-slim-bookworm AS build
ARG TORCH_INDEX=
WORKDIR /src
COPY pyproject.toml README.md LICENSE requirements.lock ./
COPY src src
COPY configs configs
COPY examples examples
RUN python -m venv /opt/medicalgpt \
    && /opt/medicalgpt/bin/pip install --no-cache-dir ${TORCH_INDEX:+--no-deps --index-url "$TORCH_INDEX"} \
       "$(grep '^torch==' requirements.lock)" \
    && /opt/medicalgpt/bin/pip install --no-cache-dir -c requirements.lock ".[quant,serve,structured,llamacpp,xlsx,curate,documents]"

FROM python:3.11.14-slim-bookworm
COPY --from=build /opt/medicalgpt /opt/medicalgpt
RUN useradd --create-home --uid 10001 medicalgpt && install -d -o medicalgpt /work /cache
ENV PATH=/opt/medicalgpt/bin:$PATH MEDICALGPT_CACHE=/cache PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /work
VOLUME ["/work", "/cache"]
ENTRYPOINT ["medicalgpt"]
CMD ["--help"]
