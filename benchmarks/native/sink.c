/* A server that takes uploads and throws them away, and gives one file out: never the bottleneck.
 *
 * usage: sink [--tls CERTIFICATES KEY] [--file PATH SHA256] [--verify]
 *
 * It prints its port, serves each connection by a thread of its own, and ends when its standard
 * input does. Spoken are Domo's Files and Multi-part Files API on both surfaces, and of S3 what
 * uploads need. Nothing is stored: the multipart session and the data file are always the same.
 * With --verify each body is hashed and compared with the checksum that came with it. GET /stats
 * gives the bytes and bodies that were taken, and how many of them were checked and found wrong.
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
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEAD = 64 * 1024, BODY = 256 * 1024, DIGEST = 32 };

static SSL_CTX *tls;
static bool verify;
static int file = -1;
static long long file_size;
static const char *file_sha256 = "";
static atomic_llong bytes_taken, bodies_taken, checked, wrong_checksums;

struct connection {
    int fd;
    SSL *ssl;
    char *head;     /* what was received and isn't used yet, from `start` to `stop` */
    size_t start, stop;
    char *scratch;
    EVP_MD_CTX *digest;
};

struct request {
    char method[8];
    char target[2048];
    long long size; /* -1: in chunked transfer coding */
    long long decoded_size; /* of S3's own chunks; -1: there are none */
    long long range_start, range_stop; /* -1: not asked */
    bool expects, closes;
    char checksum[2 * DIGEST + 1]; /* in hex; empty: none came */
};

static void fail(const char *what) {
    fprintf(stderr, "sink: %s: %s\n", what, strerror(errno));
    exit(1);
}

static ssize_t receive(struct connection *c, void *into, size_t size) {
    if (c->ssl) {
        int count = SSL_read(c->ssl, into, (int)size);
        return count > 0 ? count : 0;
    }
    ssize_t count;
    do {
        count = recv(c->fd, into, size, 0);
    } while (count < 0 && errno == EINTR);
    return count;
}

static bool send_all(struct connection *c, const char *data, size_t size) {
    while (size) {
        ssize_t count = c->ssl ? SSL_write(c->ssl, data, (int)(size < BODY ? size : BODY))
                               : send(c->fd, data, size, MSG_NOSIGNAL);
        if (count <= 0) {
            if (!c->ssl && errno == EINTR) continue;
            return false;
        }
        data += count;
        size -= (size_t)count;
    }
    return true;
}

/* Take `size` bytes of a body and forget them. */
static bool discard(struct connection *c, long long size) {
    size_t held = c->stop - c->start;
    size_t used = (long long)held < size ? held : (size_t)size;
    if (verify) EVP_DigestUpdate(c->digest, c->head + c->start, used);
    c->start += used;
    size -= (long long)used;
    while (size > 0) {
        size_t wanted = size < BODY ? (size_t)size : BODY;
        ssize_t count;
        if (c->ssl || verify) {
            count = receive(c, c->scratch, wanted);
            if (count > 0 && verify) EVP_DigestUpdate(c->digest, c->scratch, (size_t)count);
        } else {
            /* The kernel drops them itself, as if the server were another machine. */
            count = recv(c->fd, c->scratch, wanted, MSG_TRUNC);
            if (count < 0 && errno == EINTR) continue;
        }
        if (count <= 0) return false;
        size -= count;
    }
    return true;
}

/* Make sure that a line, or a head, is held as a whole; give the place after it, or NULL. */
static char *hold_until(struct connection *c, const char *end) {
    for (;;) {
        char *found = memmem(c->head + c->start, c->stop - c->start, end, strlen(end));
        if (found) return found + strlen(end);
        if (c->start) {
            memmove(c->head, c->head + c->start, c->stop - c->start);
            c->stop -= c->start;
            c->start = 0;
        }
        if (c->stop == HEAD) return NULL;
        ssize_t count = receive(c, c->head + c->stop, HEAD - c->stop);
        if (count <= 0) return NULL;
        c->stop += (size_t)count;
    }
}

static long long discard_chunked(struct connection *c) {
    long long taken = 0;
    for (;;) {
        char *after = hold_until(c, "\r\n");
        if (!after) return -1;
        long long size = strtoll(c->head + c->start, NULL, 16);
        c->start = (size_t)(after - c->head);
        if (size == 0) break;
        if (!discard(c, size)) return -1;
        taken += size;
        if (!(after = hold_until(c, "\r\n"))) return -1;
        c->start = (size_t)(after - c->head);
    }
    for (;;) { /* trailers, up to an empty line */
        char *after = hold_until(c, "\r\n");
        if (!after) return -1;
        bool empty = after == c->head + c->start + 2;
        c->start = (size_t)(after - c->head);
        if (empty) return taken;
    }
}

static void hex_of_base64(const char *from, char *into) {
    unsigned char raw[64];
    size_t size = strcspn(from, "\r\n");
    if (size != 44 || EVP_DecodeBlock(raw, (const unsigned char *)from, 44) < DIGEST) return;
    for (int i = 0; i < DIGEST; i++) sprintf(into + 2 * i, "%02x", raw[i]);
}

static bool read_request(struct connection *c, struct request *r) {
    char *after = hold_until(c, "\r\n\r\n");
    if (!after) return false;
    char *line = c->head + c->start;
    after[-2] = 0;
    *r = (struct request){.decoded_size = -1, .range_start = -1, .range_stop = -1};
    if (sscanf(line, "%7s %2047s", r->method, r->target) != 2) return false;
    char *checksum = strstr(r->target, "checksum=");
    if (checksum) sscanf(checksum, "checksum=%64[0-9a-f]", r->checksum);
    while ((line = strstr(line, "\r\n")) != NULL && line[2]) {
        line += 2;
        char *value = strchr(line, ':');
        if (!value) return false;
        value += 1 + strspn(value + 1, " ");
        size_t name = strcspn(line, ":");
#define IS(text) (name == sizeof(text) - 1 && !strncasecmp(line, text, name))
        if (IS("content-length")) r->size = atoll(value);
        else if (IS("transfer-encoding")) r->size = -1;
        else if (IS("x-amz-decoded-content-length")) r->decoded_size = atoll(value);
        else if (IS("x-amz-checksum-sha256")) hex_of_base64(value, r->checksum);
        else if (IS("expect")) r->expects = true;
        else if (IS("connection")) r->closes = !strncasecmp(value, "close", 5);
        else if (IS("range")) {
            r->range_stop = -1;
            long long last = -1;
            int found = sscanf(value, "bytes=%lld-%lld", &r->range_start, &last);
            if (found < 1) r->range_start = -1;
            if (found == 2) r->range_stop = last + 1;
        }
#undef IS
    }
    c->start = (size_t)(after - c->head);
    return true;
}

static bool take_body(struct connection *c, struct request *r, bool *is_right) {
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    *is_right = true;
    if (r->expects && !send_all(c, go_on, sizeof go_on - 1)) return false;
    if (r->size == 0) return true;
    if (verify) EVP_DigestInit_ex(c->digest, EVP_sha256(), NULL);
    long long taken = r->size;
    if (r->size < 0) taken = discard_chunked(c);
    else if (!discard(c, r->size)) return false;
    if (taken < 0) return false;
    /* S3's own chunks are inside: what they hold isn't hashed here. */
    if (r->decoded_size >= 0) taken = r->decoded_size;
    bool is_file = strstr(r->target, "/part/") || !strcmp(r->method, "PUT") ||
                   (strstr(r->target, "data-files") && !strstr(r->target, "/multipart"));
    if (is_file) {
        atomic_fetch_add(&bytes_taken, taken);
        atomic_fetch_add(&bodies_taken, 1);
    }
    if (verify && r->checksum[0] && r->decoded_size < 0) {
        unsigned char raw[DIGEST];
        char hex[2 * DIGEST + 1];
        EVP_DigestFinal_ex(c->digest, raw, NULL);
        for (int i = 0; i < DIGEST; i++) sprintf(hex + 2 * i, "%02x", raw[i]);
        *is_right = !strcmp(hex, r->checksum);
        atomic_fetch_add(&checked, 1);
        if (!*is_right) atomic_fetch_add(&wrong_checksums, 1);
    }
    return true;
}

static bool answer(struct connection *c, const char *status, const char *headers, const char *body,
                   const char *type) {
    char reply[4096];
    int size = snprintf(reply, sizeof reply,
                        "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s\r\n%s",
                        status, type, strlen(body), headers, body);
    return send_all(c, reply, (size_t)size);
}

static bool answer_json(struct connection *c, const char *body) {
    return answer(c, "200 OK", "", body, "application/json");
}

static bool give_file(struct connection *c, struct request *r) {
    char head[512];
    long long start = r->range_start < 0 ? 0 : r->range_start;
    long long stop = r->range_stop < 0 || r->range_stop > file_size ? file_size : r->range_stop;
    if (start >= stop && file_size) {
        return answer(c, "416 Range Not Satisfiable", "", "", "text/plain");
    }
    int size = snprintf(head, sizeof head,
                        "HTTP/1.1 %s\r\nContent-Type: application/octet-stream\r\n"
                        "Content-Length: %lld\r\nETag: \"the-only-one\"\r\n"
                        "Accept-Ranges: bytes\r\n",
                        r->range_start < 0 ? "200 OK" : "206 Partial Content", stop - start);
    if (r->range_start >= 0) {
        size += snprintf(head + size, sizeof head - (size_t)size,
                         "Content-Range: bytes %lld-%lld/%lld\r\n", start, stop - 1, file_size);
    }
    size += snprintf(head + size, sizeof head - (size_t)size, "\r\n");
    if (!send_all(c, head, (size_t)size)) return false;
    off_t offset = start;
    while (!c->ssl && offset < stop) {
        ssize_t count = sendfile(c->fd, file, &offset, (size_t)(stop - offset));
        if (count <= 0 && errno != EINTR) return false;
    }
    while (offset < stop) {
        size_t wanted = stop - offset < BODY ? (size_t)(stop - offset) : BODY;
        ssize_t count = pread(file, c->scratch, wanted, offset);
        if (count <= 0 || !send_all(c, c->scratch, (size_t)count)) return false;
        offset += count;
    }
    return true;
}

static bool answer_s3(struct connection *c, struct request *r) {
    static const char space[] = "http://s3.amazonaws.com/doc/2006-03-01/";
    char body[512];
    if (!strcmp(r->method, "POST")) {
        const char *name = strstr(r->target, "uploadId=") ? "CompleteMultipartUploadResult"
                                                          : "InitiateMultipartUploadResult";
        snprintf(body, sizeof body,
                 "<?xml version=\"1.0\" encoding=\"UTF-8\"?><%s xmlns=\"%s\"><Bucket>bucket"
                 "</Bucket><Key>key</Key><UploadId>1</UploadId><ETag>\"1\"</ETag></%s>",
                 name, space, name);
        return answer(c, "200 OK", "", body, "application/xml");
    }
    return answer(c, "200 OK", "ETag: \"1\"\r\n", "", "application/xml");
}

static bool answer_details(struct connection *c) {
    char body[1024];
    snprintf(body, sizeof body,
             "{\"dataFileId\":401,\"name\":\"data\",\"currentRevision\":{\"dataFileRevisionId\":430,"
             "\"dataFileId\":401,\"contentType\":\"application/octet-stream\",\"sizeBytes\":%lld,"
             "\"sha256HashValue\":\"%s\",\"scanState\":\"SAFE\"}}",
             file_size, file_sha256);
    return answer_json(c, body);
}

static bool answer_request(struct connection *c, struct request *r) {
    char *query = strchr(r->target, '?');
    if (!strncmp(r->target, "/bucket/", 8)) return answer_s3(c, r);
    if (query) *query = 0;
    size_t size = strlen(r->target);
#define ENDS(text) \
    (size >= sizeof(text) - 1 && !strcmp(r->target + size - (sizeof(text) - 1), text))
    bool is_get = !strcmp(r->method, "GET");
    if (ENDS("/stats")) {
        char body[256];
        snprintf(body, sizeof body, "{\"bytes\":%lld,\"bodies\":%lld,\"checked\":%lld,\"wrong\":%lld}",
                 atomic_load(&bytes_taken), atomic_load(&bodies_taken), atomic_load(&checked),
                 atomic_load(&wrong_checksums));
        return answer_json(c, body);
    }
    if (strstr(r->target, "/part/") || ENDS("/abort")) return answer_json(c, "{}");
    if (ENDS("/commit")) {
        return answer_json(c, "{\"dataFileId\":\"401\",\"revisionId\":\"430\"}");
    }
    if (ENDS("/multipart")) return answer_json(c, "{\"sessionId\":\"1\"}");
    if (ENDS("/permissions")) return answer_json(c, "{\"publicAccess\":false,\"entries\":[]}");
    if (ENDS("/details")) return answer_details(c);
    if (is_get && file >= 0) return give_file(c, r);
    if (!strcmp(r->method, "POST")) return answer_json(c, "{\"dataFileId\":401}");
    if (!strcmp(r->method, "PUT")) return answer_json(c, "{\"revisionId\":430}");
    return answer(c, "404 Not Found", "", "{\"message\":\"nothing is there\"}", "application/json");
#undef ENDS
}

static void *serve(void *given) {
    struct connection c = {.fd = (int)(long)given};
    c.head = malloc(HEAD + 1);
    c.scratch = malloc(BODY);
    c.digest = EVP_MD_CTX_new();
    if (tls) {
        c.ssl = SSL_new(tls);
        SSL_set_fd(c.ssl, c.fd);
        if (SSL_accept(c.ssl) != 1) goto over;
    }
    struct request r;
    bool is_right;
    while (read_request(&c, &r) && take_body(&c, &r, &is_right)) {
        bool was_sent = is_right ? answer_request(&c, &r)
                                 : answer(&c, "400 Bad Request", "",
                                          "{\"message\":\"the checksum is wrong\"}",
                                          "application/json");
        if (!was_sent || r.closes) break;
    }
    if (c.ssl) SSL_shutdown(c.ssl);
over:
    if (c.ssl) SSL_free(c.ssl);
    EVP_MD_CTX_free(c.digest);
    free(c.scratch);
    free(c.head);
    close(c.fd);
    return NULL;
}

static void *end_with_stdin(void *unused) {
    char byte;
    (void)unused;
    while (read(0, &byte, 1) > 0) continue;
    exit(0);
}

static void use_tls(const char *certificates, const char *key) {
    tls = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
    SSL_CTX_set_read_ahead(tls, 1);
    SSL_CTX_set_default_read_buffer_len(tls, BODY);
    if (SSL_CTX_use_certificate_chain_file(tls, certificates) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1) {
        fail("the certificates can't be read");
    }
}

static void use_file(const char *path, const char *sha256) {
    struct stat state;
    file = open(path, O_RDONLY);
    if (file < 0 || fstat(file, &state)) fail(path);
    file_size = state.st_size;
    file_sha256 = sha256;
}

int main(int count, char **given) {
    for (int i = 1; i < count; i++) {
        if (!strcmp(given[i], "--verify")) verify = true;
        else if (!strcmp(given[i], "--tls") && i + 2 < count) {
            use_tls(given[i + 1], given[i + 2]);
            i += 2;
        } else if (!strcmp(given[i], "--file") && i + 2 < count) {
            use_file(given[i + 1], given[i + 2]);
            i += 2;
        } else {
            fprintf(stderr, "usage: sink [--tls CERTIFICATES KEY] [--file PATH SHA256] [--verify]\n");
            return 2;
        }
    }
    signal(SIGPIPE, SIG_IGN);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    if (bind(listener, (struct sockaddr *)&at, size) || listen(listener, 1024) ||
        getsockname(listener, (struct sockaddr *)&at, &size)) {
        fail("no port to listen on");
    }
    printf("%d\n", ntohs(at.sin_port));
    fflush(stdout);
    pthread_t thread;
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&detached, 256 * 1024);
    pthread_create(&thread, &detached, end_with_stdin, NULL);
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) continue;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (pthread_create(&thread, &detached, serve, (void *)(long)fd)) close(fd);
    }
}
