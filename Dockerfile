# docker build -t gatehost:0.1.0 .
#
# Any builder will do: nothing here needs more than the plain Dockerfile language. tests/tests/image.rs lays out the
# files of the last stage, as its COPY lines name them, and starts the host in them.

# Both stages are Debian 12, so that the C library that the host is linked with is the one it meets.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# No package is selected, as in the tests: what is shipped has the features of what is tested.
RUN cargo build --release --locked --bin gatehost
RUN make plugins
# For every machine of the architecture, so that a host starts without compiling them.
RUN mkdir target/compiled && target/release/gatehost compile target/plugins --cache target/compiled

# The C library, libgcc and CA certificates; no shell, no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/gatehost /usr/local/bin/gatehost
COPY --from=build /src/target/plugins /plugins
COPY --from=build /src/target/compiled /compiled
# A number, so that kubelet can tell that it is not root.
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/gatehost"]
CMD ["run", "/plugins", "/checks"]
