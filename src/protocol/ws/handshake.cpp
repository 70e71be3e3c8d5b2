#include "protocol/ws/handshake.h"

#include <algorithm>
#include <array>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include "base/text.h"
#include "protocol/http/grammar.h"

namespace weir::protocol::ws {
namespace {

constexpr std::string_view kKeyField = "sec-websocket-key";
constexpr std::string_view kVersionField = "sec-websocket-version";
constexpr std::string_view kProtocolField = "sec-websocket-protocol";
constexpr std::string_view kExtensionsField = "sec-websocket-extensions";
constexpr std::string_view kDeflate = "permessage-deflate";

Error malformed(ErrorSource source, std::string_view detail) {
    return {.code = ErrorCode::kMalformed, .source = source, .detail = detail};
}

bool is_base64_char(char c) {
    const char lower = ascii_lower(c);
    return ascii_digit(c) || (lower >= 'a' && lower <= 'z') || c == '+' || c == '/';
}

// 16 bytes are 22 characters and "==". That the last character's unused bits are zero is not asked: nobody does.
bool is_key(std::string_view key) {
    return key.size() == 24 && key.ends_with("==") && std::all_of(key.begin(), key.end() - 2, is_base64_char);
}

// Takes what stands before the next `separator` outside of quotes off `rest`.
std::string_view take_part(std::string_view& rest, char separator) {
    bool quoted = false;
    std::size_t i = 0;
    for (; i < rest.size(); ++i) {
        if (quoted && rest[i] == '\\') {
            ++i;
        } else if (rest[i] == '"') {
            quoted = !quoted;
        } else if (rest[i] == separator && !quoted) {
            break;
        }
    }
    const std::string_view part = rest.substr(0, std::min(i, rest.size()));
    rest = i < rest.size() ? rest.substr(i + 1) : std::string_view{};
    return trimmed(part);
}

bool has_open_quote(std::string_view text) {
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (quoted && text[i] == '\\') {
            ++i;
        } else if (text[i] == '"') {
            quoted = !quoted;
        }
    }
    return quoted;
}

// Calls `visit(element)` for each element of the extension fields, "name; parameter=value", as it was written.
template <typename Visit>
void for_each_extension(std::string_view list, Visit&& visit) {
    while (!list.empty()) {
        if (const std::string_view element = take_part(list, ','); !element.empty()) visit(element);
    }
}
template <typename Visit>
void for_each_extension(const std::vector<http::Field>& fields, Visit&& visit) {
    for (const http::Field& field : fields) {
        if (equals_ignoring_case(field.name, kExtensionsField)) for_each_extension(field.value, visit);
    }
}

std::string_view extension_name(std::string_view element) {
    return take_part(element, ';');
}

// Calls `visit(name, value)` for each parameter of an element; the value is without its quotes, nullopt when absent.
template <typename Visit>
void for_each_parameter(std::string_view element, Visit&& visit) {
    take_part(element, ';');
    while (!element.empty()) {
        std::string_view value = take_part(element, ';');
        const std::string_view name = take_part(value, '=');
        const bool absent = value.data() == nullptr;  // "name", not "name="
        value = trimmed(value);
        if (value.size() >= 2 && value.starts_with('"') && value.ends_with('"'))
            value = value.substr(1, value.size() - 2);
        visit(name, absent ? std::nullopt : std::optional<std::string_view>(value));
    }
}

bool has_parameter(std::string_view element, std::string_view wanted) {
    bool found = false;
    for_each_parameter(element, [&](std::string_view name, auto) { found = found || name == wanted; });
    return found;
}

// 8 to 15, without leading zeros (RFC 7692 7.1.2.1).
std::optional<unsigned> window_bits(std::optional<std::string_view> value) {
    if (!value || value->empty() || value->front() == '0') return std::nullopt;
    const auto bits = parse_decimal(*value);
    if (!bits || *bits < 8 || *bits > 15) return std::nullopt;
    return static_cast<unsigned>(*bits);
}

Result<DeflateParameters> deflate_parameters(std::string_view element) {
    DeflateParameters parameters;
    std::array<bool, 4> seen{};
    bool valid = true;
    const auto once = [&](std::size_t index) {
        if (seen[index]) valid = false;
        seen[index] = true;
    };
    for_each_parameter(element, [&](std::string_view name, std::optional<std::string_view> value) {
        if (name == "client_no_context_takeover" && !value) {
            once(0);
            parameters.client_no_context_takeover = true;
        } else if (name == "server_no_context_takeover" && !value) {
            once(1);
            parameters.server_no_context_takeover = true;
        } else if (const auto bits = window_bits(value); name == "client_max_window_bits" && bits) {
            once(2);
            parameters.client_window_bits = *bits;
        } else if (name == "server_max_window_bits" && bits) {
            once(3);
            parameters.server_window_bits = *bits;
        } else {
            valid = false;
        }
    });
    if (!valid || element.ends_with(';'))
        return malformed(ErrorSource::kUpstream, "permessage-deflate with parameters that must not be there");
    return parameters;
}

}  // namespace

bool wants_websocket(const http::RequestHead& head) {
    if (head.method != "GET") return false;
    return std::any_of(head.fields.begin(), head.fields.end(), [](const http::Field& field) {
        return equals_ignoring_case(field.name, "upgrade") && list_has_token(field.value, "websocket");
    });
}

Result<void> check_handshake(const http::RequestHead& head) {
    constexpr auto kSource = ErrorSource::kDownstream;
    if (!wants_websocket(head)) return malformed(kSource, "no WebSocket handshake");
    if (head.version_minor < 1) return malformed(kSource, "a WebSocket handshake in HTTP/1.0");
    if (!head.upgrade) return malformed(kSource, "a WebSocket handshake without Connection: Upgrade");
    const bool body = head.framing == http::BodyFraming::kChunked || head.content_length != 0;
    if (body) return malformed(kSource, "a WebSocket handshake with a body");
    if (head.count(kVersionField) != 1) return malformed(kSource, "not one Sec-WebSocket-Version");
    if (head.field(kVersionField) != "13") {
        return Error{.code = ErrorCode::kUnsupported, .source = kSource, .detail = "a WebSocket version other than 13"};
    }
    if (head.count(kKeyField) != 1) return malformed(kSource, "not one Sec-WebSocket-Key");
    if (!is_key(head.field(kKeyField))) return malformed(kSource, "a Sec-WebSocket-Key that is not 16 bytes in base64");
    return {};
}

std::string accept_key(std::string_view key) {
    constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    std::string text;
    text.reserve(key.size() + kGuid.size());
    text += key;
    text += kGuid;
    std::array<unsigned char, SHA_DIGEST_LENGTH> digest{};
    // Looked up once: by name, as SHA1() does at each call, it costs more than the digest itself.
    static const EVP_MD* const kSha1 = EVP_MD_fetch(nullptr, "SHA1", nullptr);
    WEIR_ASSERT(EVP_Digest(text.data(), text.size(), digest.data(), nullptr, kSha1, nullptr) == 1);
    std::array<unsigned char, 32> base64{};  // 28 characters and a NUL
    const int length = EVP_EncodeBlock(base64.data(), digest.data(), static_cast<int>(digest.size()));
    return {reinterpret_cast<const char*>(base64.data()), static_cast<std::size_t>(length)};
}

std::vector<std::string_view> offered_subprotocols(const std::vector<http::Field>& fields) {
    std::vector<std::string_view> offered;
    for (const http::Field& field : fields) {
        if (!equals_ignoring_case(field.name, kProtocolField)) continue;
        for_each_list_item(field.value, [&offered](std::string_view item) { offered.push_back(item); });
    }
    return offered;
}

std::string filtered_extension_offer(const std::vector<http::Field>& fields) {
    std::string offer;
    for_each_extension(fields, [&offer](std::string_view element) {
        // An open quote would swallow what is put behind it.
        if (extension_name(element) != kDeflate || has_open_quote(element)) return;
        if (!offer.empty()) offer += ", ";
        offer += element;
    });
    return offer;
}

std::string without_server_context(std::string_view offer) {
    constexpr std::string_view kParameter = "server_no_context_takeover";
    std::string asked;
    for_each_extension(offer, [&](std::string_view element) {
        if (!asked.empty()) asked += ", ";
        asked += element;
        if (!has_parameter(element, kParameter)) asked.append("; ").append(kParameter);
    });
    return asked;
}

Result<std::optional<DeflateParameters>> accepted_deflate(const std::vector<http::Field>& response_fields,
                                                          std::optional<std::string_view> offer) {
    std::string_view accepted;
    std::size_t elements = 0;
    for_each_extension(response_fields, [&](std::string_view element) {
        ++elements;
        accepted = element;
    });
    if (elements == 0) return std::optional<DeflateParameters>{};
    if (elements > 1 || extension_name(accepted) != kDeflate)
        return malformed(ErrorSource::kUpstream, "an extension that was not offered");
    if (offer) {
        bool offered = false;
        bool window_offered = false;
        for_each_extension(*offer, [&](std::string_view element) {
            if (extension_name(element) != kDeflate) return;
            offered = true;
            window_offered = window_offered || has_parameter(element, "client_max_window_bits");
        });
        if (!offered) return malformed(ErrorSource::kUpstream, "an extension that was not offered");
        // RFC 7692 7.1.2.2: such a client can't limit its window.
        if (!window_offered && has_parameter(accepted, "client_max_window_bits"))
            return malformed(ErrorSource::kUpstream, "a client_max_window_bits that was not offered");
    }
    const auto parameters = deflate_parameters(accepted);
    if (!parameters) return parameters.error();
    return std::optional<DeflateParameters>{*parameters};
}

std::string relayed_extensions(const std::vector<http::Field>& response_fields, bool drops_messages) {
    std::string relayed;
    for_each_extension(response_fields, [&](std::string_view element) {
        if (!relayed.empty()) relayed += ", ";
        relayed += element;
        if (drops_messages && extension_name(element) == kDeflate &&
            !has_parameter(element, "client_no_context_takeover"))
            relayed += "; client_no_context_takeover";
    });
    return relayed;
}

std::string switching_protocols(std::string_view key, std::string_view subprotocol, std::string_view extra_fields) {
    std::string head =
        "HTTP/1.1 101 Switching Protocols\r\n"
        "Upgrade: websocket\r\n"
        "Connection: Upgrade\r\n"
        "Sec-WebSocket-Accept: ";
    head += accept_key(key);
    head += "\r\n";
    if (!subprotocol.empty()) {
        WEIR_ASSERT(http::all_of(subprotocol, http::kValueChar));
        head += "Sec-WebSocket-Protocol: ";
        head += subprotocol;
        head += "\r\n";
    }
    head += extra_fields;
    head += "\r\n";
    return head;
}

}  // namespace weir::protocol::ws
