// What the load generator, the echo server and the floor proxies share: a clock, sockets on loopback, the handshake's
// key (RFC 6455 4.2.2) and frame headers (RFC 6455 5.2).
//
// On purpose nothing of src/ is used here: the tools that judge the product must not share its mistakes.
// One thread; needs libc only.
#pragma once

#include <arpa/inet.h>
#include <array>
#include <bit>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string>
#include <string_view>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>

namespace weir::bench {

inline std::uint64_t now_ns() {
    timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return std::uint64_t(ts.tv_sec) * 1'000'000'000ull + std::uint64_t(ts.tv_nsec);
}

[[noreturn]] inline void die(const std::string& what) {
    std::fprintf(stderr, "error: %s\n", what.c_str());
    std::exit(2);
}

// Raises the soft limit of open files to the hard limit, or further when we may.
inline void raise_fd_limit(rlim_t wanted) {
    rlimit rl{};
    getrlimit(RLIMIT_NOFILE, &rl);
    if (rl.rlim_cur >= wanted) return;
    rlimit want{wanted, rl.rlim_max > wanted ? rl.rlim_max : wanted};
    if (setrlimit(RLIMIT_NOFILE, &want) == 0) return;
    rl.rlim_cur = rl.rlim_max;
    setrlimit(RLIMIT_NOFILE, &rl);
}

inline void no_delay(int fd) {
    const int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

inline sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in sa{};
    sa.sin_family = AF_INET;
    sa.sin_port = htons(port);
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return sa;
}

// Listens on 127.0.0.1; port 0 takes a free one. Says "LISTENING PORT" on stdout, which is how a caller learns it.
// `flags` are those of socket(2), such as SOCK_NONBLOCK.
inline int listen_on_loopback(std::uint16_t port, int flags) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (fd < 0) die("socket: " + std::string(strerror(errno)));
    const int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    sockaddr_in sa = loopback(port);
    if (bind(fd, reinterpret_cast<sockaddr*>(&sa), sizeof sa) != 0) die("bind: " + std::string(strerror(errno)));
    if (listen(fd, 65535) != 0) die("listen: " + std::string(strerror(errno)));
    socklen_t size = sizeof sa;
    getsockname(fd, reinterpret_cast<sockaddr*>(&sa), &size);
    std::printf("LISTENING %u\n", unsigned(ntohs(sa.sin_port)));
    std::fflush(stdout);
    return fd;
}

inline volatile std::sig_atomic_t stop_requested = 0;

// SIGTERM and SIGINT end the loops that watch stop_requested; a write to a closed socket is an error, no signal.
inline void stop_on_signals() {
    signal(SIGPIPE, SIG_IGN);
    struct sigaction sa {};
    sa.sa_handler = [](int) { stop_requested = 1; };
    sigaction(SIGTERM, &sa, nullptr);
    sigaction(SIGINT, &sa, nullptr);
}

// The number in an argument, or the end of the program.
inline unsigned number_argument(const std::string& name, const std::string& text, unsigned max) {
    char* end = nullptr;
    const unsigned long v = std::strtoul(text.c_str(), &end, 10);
    if (text.empty() || *end != 0 || text[0] == '-' || v > max)
        die(name + ": not a number up to " + std::to_string(max) + ": " + text);
    return unsigned(v);
}

// ---- handshake ---------------------------------------------------------------------------------

inline std::array<std::uint8_t, 20> sha1(std::string_view in) {
    std::uint32_t h[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    std::string msg(in);
    msg.push_back(char(0x80));
    while (msg.size() % 64 != 56) msg.push_back(0);
    const std::uint64_t bits = std::uint64_t(in.size()) * 8;
    for (int i = 7; i >= 0; --i) msg.push_back(char(bits >> (8 * i)));
    for (std::size_t off = 0; off < msg.size(); off += 64) {
        std::uint32_t w[80];
        for (int i = 0; i < 16; ++i) {
            std::uint32_t v;
            std::memcpy(&v, msg.data() + off + 4 * i, 4);
            w[i] = __builtin_bswap32(v);
        }
        for (int i = 16; i < 80; ++i) w[i] = std::rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
        std::uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
        for (int i = 0; i < 80; ++i) {
            std::uint32_t f, k;
            if (i < 20) {
                f = (b & c) | (~b & d);
                k = 0x5A827999;
            } else if (i < 40) {
                f = b ^ c ^ d;
                k = 0x6ED9EBA1;
            } else if (i < 60) {
                f = (b & c) | (b & d) | (c & d);
                k = 0x8F1BBCDC;
            } else {
                f = b ^ c ^ d;
                k = 0xCA62C1D6;
            }
            const std::uint32_t t = std::rotl(a, 5) + f + e + k + w[i];
            e = d;
            d = c;
            c = std::rotl(b, 30);
            b = a;
            a = t;
        }
        h[0] += a;
        h[1] += b;
        h[2] += c;
        h[3] += d;
        h[4] += e;
    }
    std::array<std::uint8_t, 20> out;
    for (int i = 0; i < 5; ++i) {
        const std::uint32_t v = __builtin_bswap32(h[i]);
        std::memcpy(out.data() + 4 * i, &v, 4);
    }
    return out;
}

inline std::string base64(const std::uint8_t* p, std::size_t n) {
    static const char t[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string s;
    for (std::size_t i = 0; i < n; i += 3) {
        const std::uint32_t v =
            std::uint32_t(p[i]) << 16 | (i + 1 < n ? std::uint32_t(p[i + 1]) << 8 : 0) | (i + 2 < n ? p[i + 2] : 0);
        s += t[v >> 18];
        s += t[(v >> 12) & 63];
        s += i + 1 < n ? t[(v >> 6) & 63] : '=';
        s += i + 2 < n ? t[v & 63] : '=';
    }
    return s;
}

inline std::string accept_key(std::string_view key) {
    const auto d = sha1(std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    return base64(d.data(), d.size());
}

// Value of the first header field called `name` (case-insensitive) in an HTTP head, trimmed.
inline std::string_view header_value(std::string_view head, std::string_view name) {
    std::size_t pos = head.find("\r\n");
    while (pos != std::string_view::npos && pos + 2 < head.size()) {
        const std::size_t start = pos + 2;
        pos = head.find("\r\n", start);
        std::string_view line = head.substr(start, pos == std::string_view::npos ? pos : pos - start);
        if (line.size() > name.size() && line[name.size()] == ':' &&
            strncasecmp(line.data(), name.data(), name.size()) == 0) {
            line.remove_prefix(name.size() + 1);
            while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
            while (!line.empty() && (line.back() == ' ' || line.back() == '\t')) line.remove_suffix(1);
            return line;
        }
    }
    return {};
}

// ---- frames ------------------------------------------------------------------------------------

enum Opcode : std::uint8_t { kContinuation = 0, kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10 };

struct Frame {
    std::uint64_t len = 0;  // payload length
    std::uint8_t mask[4] = {};
    std::uint8_t opcode = 0;
    std::uint8_t rsv = 0;
    bool fin = false;
    bool masked = false;
};

// Size of the header, 0 when more bytes are needed, -1 when it can't be a frame.
inline int parse_header(const std::uint8_t* p, std::size_t n, Frame& f) {
    if (n < 2) return 0;
    f.fin = p[0] & 0x80;
    f.rsv = p[0] & 0x70;
    f.opcode = p[0] & 0x0F;
    f.masked = p[1] & 0x80;
    f.len = p[1] & 0x7F;
    std::size_t size = 2;
    if (f.len == 126) {
        if (n < 4) return 0;
        f.len = std::uint64_t(p[2]) << 8 | p[3];
        size = 4;
    } else if (f.len == 127) {
        if (n < 10) return 0;
        f.len = 0;
        for (int i = 0; i < 8; ++i) f.len = f.len << 8 | p[2 + i];
        if (f.len >> 63) return -1;
        size = 10;
    }
    if (f.masked) {
        if (n < size + 4) return 0;
        std::memcpy(f.mask, p + size, 4);
        size += 4;
    }
    if (f.opcode >= 8 && (!f.fin || f.len > 125)) return -1;
    if ((f.opcode > 2 && f.opcode < 8) || f.opcode > 10) return -1;
    return int(size);
}

// Writes a frame header (at most 14 bytes) and returns its size. mask == nullptr: unmasked.
inline std::size_t put_header(std::uint8_t* out, bool fin, std::uint8_t opcode, std::uint64_t len,
                              const std::uint8_t* mask) {
    std::size_t n = 2;
    out[0] = std::uint8_t((fin ? 0x80 : 0) | opcode);
    if (len < 126) {
        out[1] = std::uint8_t(len);
    } else if (len < 65536) {
        out[1] = 126;
        out[2] = std::uint8_t(len >> 8);
        out[3] = std::uint8_t(len);
        n = 4;
    } else {
        out[1] = 127;
        for (int i = 0; i < 8; ++i) out[2 + i] = std::uint8_t(len >> (56 - 8 * i));
        n = 10;
    }
    if (mask) {
        out[1] |= 0x80;
        std::memcpy(out + n, mask, 4);
        n += 4;
    }
    return n;
}

// dst[i] = src[i] ^ mask[(i + phase) & 3]
inline void apply_mask(std::uint8_t* dst, const std::uint8_t* src, std::size_t n, const std::uint8_t mask[4],
                       unsigned phase) {
    std::uint8_t m[8];
    for (unsigned i = 0; i < 8; ++i) m[i] = mask[(i + phase) & 3];
    std::uint64_t k;
    std::memcpy(&k, m, 8);
    std::size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        std::uint64_t v;
        std::memcpy(&v, src + i, 8);
        v ^= k;
        std::memcpy(dst + i, &v, 8);
    }
    for (; i < n; ++i) dst[i] = src[i] ^ m[i & 7];
}

}  // namespace weir::bench
