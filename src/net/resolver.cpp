#include "net/resolver.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <netdb.h>
#include <sys/socket.h>
#include <thread>
#include <utility>

#include "net/socket.h"

namespace weir::net {
namespace {

constexpr std::size_t kNameBytesMax = 253;  // RFC 1035 2.3.4
constexpr std::size_t kAddressesMax = 32;

Error no_such_name(bool retryable) {
    return {ErrorCode::kUnreachable, ErrorSource::kUpstream, retryable, "the name has no address"};
}

}  // namespace

Result<Addresses> look_up(const std::string& name) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG;
    addrinfo* list = nullptr;
    if (const int error = ::getaddrinfo(name.c_str(), nullptr, &hints, &list); error != 0) {
        return no_such_name(error == EAI_AGAIN);
    }
    Addresses addresses;
    for (const addrinfo* each = list; each != nullptr && addresses.size() < kAddressesMax; each = each->ai_next) {
        SocketAddress address;
        if (each->ai_addrlen > sizeof address.storage) continue;
        std::copy_n(reinterpret_cast<const char*>(each->ai_addr), each->ai_addrlen,
                    reinterpret_cast<char*>(&address.storage));
        address.size = each->ai_addrlen;
        const IpAddress found = from_socket_address(address).address;
        if (std::find(addresses.begin(), addresses.end(), found) == addresses.end()) addresses.push_back(found);
    }
    ::freeaddrinfo(list);
    if (addresses.empty()) return no_such_name(false);
    return addresses;
}

// What the two threads share, behind the mutex.
struct Resolver::Shared {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<std::string> questions;
    std::vector<std::pair<std::string, Result<Addresses>>> answers;
    bool stopping = false;
    std::thread thread;

    void run(const std::function<void()>& wake, const LookUp& look_up) {
        std::unique_lock lock(mutex);
        while (true) {
            changed.wait(lock, [this] { return stopping || !questions.empty(); });
            if (stopping) return;
            std::string name = std::move(questions.front());
            questions.pop_front();
            lock.unlock();
            auto answer = look_up(name);
            lock.lock();
            answers.emplace_back(std::move(name), std::move(answer));
            if (!stopping) wake();
        }
    }
};

struct Resolver::Table {
    std::map<std::string, Name, std::less<>> names;
};

Resolver::Resolver(std::function<void()> wake, LookUp look_up)
    : shared_(std::make_unique<Shared>()), table_(std::make_unique<Table>()) {
    shared_->thread = std::thread(
        [shared = shared_.get(), wake = std::move(wake), look_up = std::move(look_up)] { shared->run(wake, look_up); });
}

Resolver::~Resolver() {
    {
        const std::lock_guard lock(shared_->mutex);
        shared_->stopping = true;
    }
    shared_->changed.notify_one();
    shared_->thread.join();
}

Resolver::Name* Resolver::find_or_add(const std::string& name, MonoTime now) {
    auto& names = table_->names;
    if (const auto found = names.find(name); found != names.end()) return &found->second;
    if (names.size() >= kNamesMax) {
        std::erase_if(names, [now](const auto& each) { return !each.second.asking && each.second.until <= now; });
        if (names.size() >= kNamesMax) return nullptr;
    }
    return &names[name];
}

void Resolver::resolve(std::string_view name, MonoTime now, Answer answer) {
    if (const auto literal = IpAddress::parse(name)) return answer(Addresses{*literal});
    if (name.empty() || name.size() > kNameBytesMax || name.find('\0') != std::string_view::npos) {
        return answer(no_such_name(false));
    }
    const std::string key(name);
    Name* entry = waiting_ < kWaitingMax ? find_or_add(key, now) : nullptr;
    if (entry == nullptr) {
        return answer(Error{ErrorCode::kExhausted, ErrorSource::kUpstream, true, "too many names are asked for"});
    }
    if (!entry->asking && entry->until > now) {
        // A copy: the answer may ask again, and so change the table.
        const Result<Addresses> known = entry->addresses.empty() ? Result<Addresses>(entry->error) : entry->addresses;
        return answer(known);
    }
    entry->waiting.push_back(std::move(answer));
    ++waiting_;
    if (std::exchange(entry->asking, true)) return;
    {
        const std::lock_guard lock(shared_->mutex);
        shared_->questions.push_back(key);
    }
    shared_->changed.notify_one();
}

void Resolver::deliver(MonoTime now) {
    std::vector<std::pair<std::string, Result<Addresses>>> answers;
    {
        const std::lock_guard lock(shared_->mutex);
        answers.swap(shared_->answers);
    }
    for (auto& [name, answer] : answers) {
        Name& entry = table_->names[name];
        entry.asking = false;
        entry.until = now + (answer ? kKept : kFailureKept);
        if (answer) {
            entry.addresses = *answer;
        } else {
            entry.error = answer.error();
        }
        const Result<Addresses> known = entry.addresses.empty() ? Result<Addresses>(entry.error) : entry.addresses;
        const std::vector<Answer> waiting = std::exchange(entry.waiting, {});
        waiting_ -= waiting.size();
        for (const Answer& each : waiting) each(known);
    }
}

}  // namespace weir::net
