// The scalars of a configuration: text to value and back, and the check of a scalar against its row of the table.
// Pure; strict: no signs, no spaces, no overflow.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "config/config.h"
#include "config/document.h"
#include "config/schema.h"

namespace weir::config {

// The booleans of YAML 1.2's core schema: true, True, TRUE, false, False, FALSE.
[[nodiscard]] std::optional<bool> parse_boolean(std::string_view text);

// "20ms", "10s", "5m", "1h", "2d"; up to kDurationMax.
inline constexpr Nanos kDurationMax = std::chrono::hours(24 * 3660);
[[nodiscard]] std::optional<Nanos> parse_duration(std::string_view text);
[[nodiscard]] std::string format_duration(Nanos duration);

// "512", "512B", "4KiB", "1MiB", "1GiB", "1TiB".
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text);
[[nodiscard]] std::string format_size(std::uint64_t bytes);

// Decimal digits, behind a '-' or not.
[[nodiscard]] std::optional<std::int64_t> parse_signed(std::string_view text);

// Decimal digits, with a fraction or without, no exponent; positive.
[[nodiscard]] std::optional<double> parse_number(std::string_view text);

// "0.0.0.0:443", "https://0.0.0.0:443", "http://[::]:80", "unix:/PATH"; `tls` is what stands before it.
struct ListenText {
    net::Endpoint endpoint;
    std::optional<bool> tls;
};
[[nodiscard]] std::optional<ListenText> parse_listen(std::string_view text);

// "http://HOST", "https://HOST:PORT", "unix:/PATH". nullopt with what is wrong, as the end of a sentence.
[[nodiscard]] std::optional<UpstreamAddress> parse_upstream(std::string_view url, std::string& reason);

// "http://HOST[:PORT]/PATH?QUERY", the same with https, "unix:/SOCKET:/PATH": where it goes, and the target in origin
// form. nullopt with what is wrong.
struct LookupUrl {
    UpstreamAddress address;
    std::string target;
};
[[nodiscard]] std::optional<LookupUrl> parse_lookup_url(std::string_view url, std::string& reason);

// http:// or https://, which a key that takes files as well is told from them by.
[[nodiscard]] bool is_url(std::string_view text);
// As parse_lookup_url; https, or http to this machine.
[[nodiscard]] std::optional<LookupUrl> parse_jwks_url(std::string_view url, std::string& reason);

// "user:42": a subject by name. The addresses of `allow` and `block` are networks instead.
[[nodiscard]] bool is_subject_name(std::string_view text);

// `text` for a message: quoted, without control characters, cut off when long.
[[nodiscard]] std::string in_quotes(std::string_view text);
// "'text'", "a list", "a map", "nothing".
[[nodiscard]] std::string found(const Node& node);

// What is wrong with a scalar under its row of the table; empty when nothing is.
[[nodiscard]] std::string check_scalar(const Key& key, const Node& node);

}  // namespace weir::config
