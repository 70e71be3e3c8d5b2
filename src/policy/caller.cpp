#include "policy/caller.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"

namespace weir::policy {
namespace {

constexpr std::string_view kClaim = "claim:";
constexpr std::string_view kHeader = "header:";

void append_escaped(std::string& out, std::string_view text, std::string_view separators) {
    constexpr std::string_view kHex = "0123456789ABCDEF";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7F || separators.find(c) != std::string_view::npos) {
            out += '%';
            out += kHex[byte >> 4U];
            out += kHex[byte & 0xFU];
        } else {
            out += c;
        }
    }
}

void append_value(std::string& out, std::string_view value) {
    append_escaped(out, value, "%{}|");
}

void append_address(std::string& out, const Caller& caller, const SubjectOptions& options) {
    out += "ip:";
    out += address_group(caller, options);
}

void append_caller(std::string& out, const Caller& caller, const SubjectOptions& options) {
    if (caller.user.empty()) return append_address(out, caller, options);
    out += "user:";
    append_value(out, caller.user);
}

// "header:X-Org" is "header:x-org"; claims are told apart by case.
bool same_attribute(std::string_view a, std::string_view b) {
    return a.starts_with(kClaim) ? a == b : equals_ignoring_case(a, b);
}

void append_attribute(std::string& out, const Caller& caller, std::string_view attribute,
                      const SubjectOptions& options) {
    const auto found = std::find_if(caller.attributes.begin(), caller.attributes.end(),
                                    [&](const auto& each) { return same_attribute(each.first, attribute); });
    if (found == caller.attributes.end() || found->second.empty()) return append_caller(out, caller, options);
    const std::size_t colon = attribute.find(':');
    out += attribute.substr(0, colon + 1);
    append_escaped(out, attribute.substr(colon + 1), "%{}|:");
    out += ':';
    append_value(out, found->second);
}

std::string part_of(const Caller& caller, const SubjectPart& part, std::uint64_t connection_id,
                    const SubjectOptions& options) {
    std::string out;
    switch (part.kind) {
        case SubjectKind::kCaller:
        case SubjectKind::kUser:
            append_caller(out, caller, options);
            break;
        case SubjectKind::kIp:
            append_address(out, caller, options);
            break;
        case SubjectKind::kConnection:
            out = "connection:" + std::to_string(connection_id);
            break;
        case SubjectKind::kGlobal:
            out = "global";
            break;
        case SubjectKind::kAttribute:
            append_attribute(out, caller, part.attribute, options);
            break;
    }
    return out;
}

}  // namespace

std::optional<SubjectPart> parse_subject_part(std::string_view text) {
    if (text == "ip") return SubjectPart{SubjectKind::kIp, {}};
    if (text == "user") return SubjectPart{SubjectKind::kUser, {}};
    if (text == "connection") return SubjectPart{SubjectKind::kConnection, {}};
    if (text == "global") return SubjectPart{SubjectKind::kGlobal, {}};
    if (text.starts_with(kClaim) && text.size() > kClaim.size()) {
        return SubjectPart{SubjectKind::kAttribute, std::string(text)};
    }
    if (text.starts_with(kHeader) && text.size() > kHeader.size()) {
        return SubjectPart{SubjectKind::kAttribute, lowercased(text)};
    }
    return std::nullopt;
}

std::string subject_of(const Caller& caller, const std::vector<SubjectPart>& parts, std::uint64_t connection_id,
                       const SubjectOptions& options) {
    if (parts.empty()) return part_of(caller, SubjectPart{}, connection_id, options);
    std::vector<std::string> written;
    for (const SubjectPart& part : parts) {
        std::string text = part_of(caller, part, connection_id, options);
        if (std::find(written.begin(), written.end(), text) == written.end()) written.push_back(std::move(text));
    }
    std::string out;
    for (const std::string& text : written) {
        if (!out.empty()) out += '|';
        out += text;
    }
    return out;
}

std::string user_subject(std::string_view user) {
    std::string out = "user:";
    append_value(out, user);
    return out;
}

std::string address_group(const Caller& caller, const SubjectOptions& options) {
    WEIR_ASSERT(options.ipv6_prefix_bits <= 128);
    if (!caller.address_known) return "unix";
    if (caller.address.is_v4() || options.ipv6_prefix_bits == 128) return caller.address.to_string();
    return caller.address.masked(options.ipv6_prefix_bits).to_string() + "/" + std::to_string(options.ipv6_prefix_bits);
}

}  // namespace weir::policy
