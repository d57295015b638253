# Serves a finished run on the processor: docs/serve.md says how.

FROM python:3.12-slim

WORKDIR /build
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY src ./src

# Runs whose backbone needs more than PyTorch: --build-arg EXTRAS=web,hf
ARG EXTRAS=web

# The wheels of torch for processors alone are on an index of their own; those of PyPI bring CUDA, several GB of it.
RUN pip install --no-cache-dir -c constraints.txt --index-url https://download.pytorch.org/whl/cpu torch \
 && pip install --no-cache-dir -c constraints.txt ".[$EXTRAS]"

RUN useradd --uid 10001 --create-home aqakit \
 && install -d -o aqakit -g aqakit /cache
USER aqakit
WORKDIR /home/aqakit
ENV AQAKIT_CACHE=/cache
VOLUME /cache
EXPOSE 8000

HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]

ENTRYPOINT ["aqakit"]
CMD ["serve", "/model", "--host", "0.0.0.0"]
