# One image a program: docker build --target manager -t REPOSITORY/manager .  (manager, worker, ingress, insights)
# `make images` builds the same files into OCI layouts, without Docker; a test holds the two alike.
# What is shipped is the program, certificates and time zones, and a user that is not root: no shell, no package manager.
# Push it, and give its digest to the chart: nothing is run by a tag.
# --build-arg VERSION=… is what `manager version` and the others say of it.
FROM golang:1.26.8-bookworm@sha256:a688600ca24f8a4d3ca77f95b0dd40704a9fc787c826660eb7ba0b641b8b175d AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download && go mod verify
COPY . .
ARG VERSION=dev
ENV CGO_ENABLED=0 GOFLAGS=-mod=readonly GOTOOLCHAIN=local
RUN go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/ ./cmd/manager ./cmd/worker ./cmd/ingress ./cmd/insights
RUN mkdir -p /out/etc /out/tmp && chmod 1777 /out/tmp \
 && printf 'nonroot:x:65532:65532::/tmp:/sbin/nologin\n' >/out/etc/passwd \
 && printf 'nonroot:x:65532:\n' >/out/etc/group

FROM scratch AS base
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /usr/local/go/lib/time/zoneinfo.zip /usr/share/zoneinfo.zip
COPY --from=build /out/etc/passwd /out/etc/group /etc/
COPY --from=build /out/tmp /tmp
ENV ZONEINFO=/usr/share/zoneinfo.zip
USER 65532:65532

FROM base AS manager
COPY --from=build /out/manager /manager
ENTRYPOINT ["/manager"]

FROM base AS worker
COPY --from=build /out/worker /worker
ENTRYPOINT ["/worker"]

FROM base AS ingress
COPY --from=build /out/ingress /ingress
ENTRYPOINT ["/ingress"]

FROM base AS insights
COPY --from=build /out/insights /insights
ENTRYPOINT ["/insights"]
