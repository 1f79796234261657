/* The limit: what a machine can upload, part by part, when nothing but the work itself is done.
 *
 * usage: client PORT FILE PART_SIZE THREADS [CERTIFICATES]
 *
 * Each thread reads a part, hashes it while it is warm, and sends it with its checksum over a
 * connection that is kept. With the file of certificates to trust, over TLS. It begins when its
 * standard input gives a line or ends, and prints its figures as JSON.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { STEP = 256 * 1024 };

static const char base[] = "/api/data/v1/data-files/multipart";
static int port, file;
static long long file_size, part_size;
static atomic_llong next_index = 1;
static SSL_CTX *tls;

struct connection {
    int fd;
    SSL *ssl;
};

static void fail(const char *what) {
    fprintf(stderr, "client: %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct connection dial(void) {
    struct connection c = {.fd = socket(AF_INET, SOCK_STREAM, 0)};
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((unsigned short)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(c.fd, (struct sockaddr *)&to, sizeof to)) fail("no connection");
    if (tls) {
        c.ssl = SSL_new(tls);
        SSL_set_fd(c.ssl, c.fd);
        SSL_set_tlsext_host_name(c.ssl, "localhost");
        SSL_set1_host(c.ssl, "localhost");
        if (SSL_connect(c.ssl) != 1) fail("no TLS connection");
    }
    return c;
}

static void send_all(struct connection *c, const char *data, size_t size) {
    while (size) {
        size_t wanted = size < 4 * STEP ? size : 4 * STEP;
        ssize_t count = c->ssl ? SSL_write(c->ssl, data, (int)wanted)
                               : send(c->fd, data, size, MSG_NOSIGNAL);
        if (count <= 0) {
            if (!c->ssl && errno == EINTR) continue;
            fail("the connection was lost");
        }
        data += count;
        size -= (size_t)count;
    }
}

static void expect_success(struct connection *c) {
    char reply[8192];
    size_t have = 0;
    for (;;) {
        ssize_t count = c->ssl ? SSL_read(c->ssl, reply + have, (int)(sizeof reply - 1 - have))
                               : recv(c->fd, reply + have, sizeof reply - 1 - have, 0);
        if (count <= 0) fail("no answer");
        have += (size_t)count;
        reply[have] = 0;
        char *end = strstr(reply, "\r\n\r\n");
        if (!end) continue;
        char *size = strcasestr(reply, "content-length:");
        if (!size || have - (size_t)(end + 4 - reply) >= strtoul(size + 15, NULL, 10)) break;
    }
    if (strncmp(reply, "HTTP/1.1 200", 12)) {
        fprintf(stderr, "client: %s\n", reply);
        exit(1);
    }
}

static void post(struct connection *c, const char *rest, const char *body) {
    char request[1024];
    int size = snprintf(request, sizeof request,
                        "POST %s%s HTTP/1.1\r\nHost: localhost:%d\r\nContent-Type: application/json"
                        "\r\nContent-Length: %zu\r\n\r\n%s",
                        base, rest, port, strlen(body), body);
    send_all(c, request, (size_t)size);
    expect_success(c);
}

static void *send_parts(void *unused) {
    char *buffer = malloc((size_t)part_size);
    struct connection c = dial();
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    (void)unused;
    for (;;) {
        long long index = atomic_fetch_add(&next_index, 1);
        long long offset = (index - 1) * part_size;
        if (offset >= file_size) break;
        long long size = file_size - offset < part_size ? file_size - offset : part_size;
        EVP_DigestInit_ex(digest, EVP_sha256(), NULL);
        for (long long done = 0; done < size;) {
            size_t wanted = size - done < STEP ? (size_t)(size - done) : STEP;
            ssize_t count = pread(file, buffer + done, wanted, offset + done);
            if (count <= 0) fail("the file can't be read");
            EVP_DigestUpdate(digest, buffer + done, (size_t)count);
            done += count;
        }
        unsigned char raw[32];
        char hex[65], head[1024];
        EVP_DigestFinal_ex(digest, raw, NULL);
        for (int i = 0; i < 32; i++) sprintf(hex + 2 * i, "%02x", raw[i]);
        int head_size = snprintf(head, sizeof head,
                                 "PUT %s/1/part/%lld?checksum=%s HTTP/1.1\r\nHost: localhost:%d\r\n"
                                 "Content-Type: application/octet-stream\r\n"
                                 "Content-Length: %lld\r\n\r\n",
                                 base, index, hex, port, size);
        send_all(&c, head, (size_t)head_size);
        send_all(&c, buffer, (size_t)size);
        expect_success(&c);
    }
    close(c.fd);
    return NULL;
}

static double seconds_of(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec / 1e6; }

static double cpu(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Not from getrusage: a process inherits that peak from the one that started it. */
static long peak(void) {
    char line[256];
    long kib = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status)) sscanf(line, "VmHWM: %ld", &kib);
    if (status) fclose(status);
    return kib * 1024;
}

int main(int count, char **given) {
    if (count < 5) {
        fprintf(stderr, "usage: client PORT FILE PART_SIZE THREADS [CERTIFICATES]\n");
        return 2;
    }
    struct stat state;
    port = atoi(given[1]);
    file = open(given[2], O_RDONLY);
    if (file < 0 || fstat(file, &state)) fail(given[2]);
    file_size = state.st_size;
    part_size = atoll(given[3]);
    int threads = atoi(given[4]);
    if (part_size < 1 || threads < 1 || threads > 256) fail("a size or count is out of range");
    if (count > 5) {
        tls = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
        SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
        if (SSL_CTX_load_verify_locations(tls, given[5], NULL) != 1) fail(given[5]);
    }
    getchar();
    long idle = peak();
    double began = now(), cpu_before = cpu();
    struct connection c = dial();
    post(&c, "", "{\"name\":\"data\",\"contentType\":\"application/octet-stream\"}");
    pthread_t running[256];
    for (int i = 0; i < threads; i++) {
        if (pthread_create(&running[i], NULL, send_parts, NULL)) fail("no thread");
    }
    for (int i = 0; i < threads; i++) pthread_join(running[i], NULL);
    post(&c, "/1/commit", "{\"sessionId\":\"1\"}");
    printf("{\"seconds\":%.6f,\"cpu\":%.6f,\"memory\":%ld}\n", now() - began, cpu() - cpu_before,
           peak() - idle);
    return 0;
}
