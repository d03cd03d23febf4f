# The virtual kubelet's image: `docker build --build-arg WHEEL=dist/interlink_edge-0.1.0-py3-none-any.whl -t NAME .`
# The base needs Python 3.11 or newer with venv; what compiles nothing needs no compiler.
ARG BASE_IMAGE=python:3.13-slim
FROM ${BASE_IMAGE} AS build
ARG WHEEL=dist/*.whl
COPY constraints.txt ${WHEEL} /tmp/wheel/
RUN python3 -m venv /opt/interlink \
 && /opt/interlink/bin/pip install --no-cache-dir --disable-pip-version-check \
    --constraint /tmp/wheel/constraints.txt "$(ls -t /tmp/wheel/*.whl | head -n 1)[vk]" \
 && /opt/interlink/bin/pip uninstall --yes --disable-pip-version-check pip

FROM ${BASE_IMAGE}
COPY --from=build /opt/interlink /opt/interlink
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# No root, no name needed: the number is what Kubernetes checks (runAsNonRoot).
USER 65532:65532
EXPOSE 10250
ENTRYPOINT ["/opt/interlink/bin/interlink", "vk"]
