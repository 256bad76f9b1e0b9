#include "exporter/http_server.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <list>
#include <map>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "exporter/exposition.h"
#include "exporter/work_pool.h"
#include "limiter/port/log.h"

namespace deferd {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr ev_ssize_t kMaxHeaders = 8 << 10;
constexpr ev_ssize_t kMaxBody = 1 << 10;
constexpr ev_ssize_t kMaxApiBody = 64 << 10;  // a policy is tried in a form
// How long a client may take for its request, and without reading anything of its answer. Each
// connection serves one request.
constexpr std::chrono::seconds kMaxLife{5};
constexpr timeval kAnswerSilence = {.tv_sec = 5, .tv_usec = 0};
// How long it may take to read the whole answer.
constexpr std::chrono::seconds kMaxReading{60};
// A reply that goes on may do so for this long; its client then asks anew.
constexpr std::chrono::minutes kMaxStream{10};
constexpr size_t kMaxStreams = 240;
constexpr size_t kMaxStreamsOfOne = 200;
constexpr timeval kStreamSilence = {.tv_sec = 60, .tv_usec = 0};
// What a client may leave unread before its stream ends.
constexpr size_t kMaxUnread = 256 << 10;
// What a client may send before anybody reads it; evhttp reads on while it answers.
constexpr size_t kMaxInput = 96 << 10;
// More connections wait in the kernel. HTTP clients must not use up the descriptors that MTAs need.
constexpr size_t kMaxConnections = 128;  // without streams
constexpr timeval kTick = {.tv_sec = 1, .tv_usec = 0};

constexpr char kPlain[] = "text/plain; charset=utf-8";

struct Free {
  void operator()(event_base* base) const { event_base_free(base); }
  void operator()(event* e) const { event_free(e); }
  void operator()(evhttp* http) const { evhttp_free(http); }
  void operator()(evbuffer* buffer) const { evbuffer_free(buffer); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

// Whether a Host header names this machine. A web page that DNS rebinding points at 127.0.0.1 sends
// its own name there.
bool IsLoopbackHost(absl::string_view host) {
  const size_t colon = host.find(':', absl::StartsWith(host, "[") ? host.find(']') : 0);
  if (colon != absl::string_view::npos) {
    const absl::string_view port = host.substr(colon + 1);
    if (!std::all_of(port.begin(), port.end(), absl::ascii_isdigit)) return false;
    host = host.substr(0, colon);
  }
  const bool loopback_v4 = absl::StartsWith(host, "127.") &&
                           host.find_first_not_of("0123456789.") == absl::string_view::npos;
  return absl::EqualsIgnoreCase(host, "localhost") || loopback_v4 || host == "[::1]";
}

// A method for the handler; "" for one that HTTP servers need not know.
const char* MethodName(evhttp_cmd_type command) {
  switch (command) {
    case EVHTTP_REQ_GET:
    case EVHTTP_REQ_HEAD:
      return "GET";
    case EVHTTP_REQ_POST:
      return "POST";
    case EVHTTP_REQ_PUT:
      return "PUT";
    case EVHTTP_REQ_DELETE:
      return "DELETE";
    case EVHTTP_REQ_PATCH:
      return "PATCH";
    default:
      return "";
  }
}

// The header's value; "" if it is absent.
std::string HeaderOf(evhttp_request* request, const char* name) {
  const char* value = evhttp_find_header(evhttp_request_get_input_headers(request), name);
  return value == nullptr ? "" : value;
}

// RFC 9110: what a header's name is made of.
bool IsToken(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isalnum(c) ||
           absl::string_view("!#$%&'*+-.^_`|~").find(c) != absl::string_view::npos;
  });
}

// Whether a proxy before us could take the request for another than we do: a body of unclear
// length, a header that decides something given twice, or one that not everybody reads alike.
bool IsAmbiguous(evhttp_request* request) {
  static constexpr absl::string_view kOnce[] = {"Content-Length", "Authorization", "Host",
                                                "Content-Type",   "Cookie",        "Origin",
                                                "Sec-Fetch-Site"};
  int times[std::size(kOnce)] = {};
  const evkeyvalq* headers = evhttp_request_get_input_headers(request);
  for (const evkeyval* one = headers->tqh_first; one != nullptr; one = one->next.tqe_next) {
    const absl::string_view name = one->key, value = one->value;
    // "Content-Length " and the like: read as the header by some, not by others.
    if (!IsToken(name) || absl::EqualsIgnoreCase(name, "Transfer-Encoding")) return true;
    if (std::any_of(value.begin(), value.end(),
                    [](char c) { return absl::ascii_iscntrl(c) && c != '\t'; })) {
      return true;
    }
    for (size_t i = 0; i < std::size(kOnce); ++i) {
      if (absl::EqualsIgnoreCase(name, kOnce[i]) && ++times[i] > 1) return true;
    }
    if (absl::EqualsIgnoreCase(name, "Content-Length") &&
        (value.empty() || !std::all_of(value.begin(), value.end(), absl::ascii_isdigit))) {
      return true;
    }
  }
  return false;
}

class EventHttpServer : public HttpServer {
 public:
  EventHttpServer(std::vector<Listener> listeners, HttpHandlers handlers)
      : listeners_(std::move(listeners)), handlers_(std::move(handlers)) {}
  ~EventHttpServer() override;

  absl::Status Open();
  void Run();

 private:
  // Our own reference to a connection's bufferevent shows its end: evhttp neither counts
  // connections nor reports when one ends.
  struct Connection {
    bufferevent* bev;
    SteadyClock::time_point since;
    bool streams = false;
    bool busy = false;      // its request is being worked on
    bool answered = false;  // `since` is the answer's beginning
    bool over() const {
      bufferevent_event_cb on_event = nullptr;
      bufferevent_getcb(bev, nullptr, nullptr, &on_event, nullptr);
      return on_event == nullptr;  // evhttp has released it
    }
  };

  struct Stream {
    evhttp_request* request;  // ours until evhttp_send_reply_end, also without a connection
    std::function<std::optional<std::string>()> next;
    std::string owner;
    SteadyClock::time_point since;
  };

  // A request that a thread of the pool works on, or will.
  struct Job {
    evhttp_request* request;            // ours until it is answered, also without a connection
    std::shared_ptr<HttpReply> result;  // the pool's until it says that the work is done
    std::function<HttpReply(bool)> late;
    SteadyClock::time_point since;
  };

  size_t CountShort() const {
    return static_cast<size_t>(std::count_if(connections_.begin(), connections_.end(),
                                             [](const Connection& one) { return !one.streams; }));
  }
  absl::Status Failed(absl::string_view what) const {
    return absl::UnavailableError(absl::StrCat(listeners_.front().address(), ": ", what));
  }
  absl::Status Accept(const Listener& listener);
  bufferevent* OnConnection();
  void OnTick();
  void Sweep();
  void OnRequest(evhttp_request* request);
  void OnApiRequest(evhttp_request* request);
  void Send(evhttp_request* request, HttpReply reply);
  void BeginWork(evhttp_request* request, HttpReply reply);
  void SendDone();
  void SendLate();
  void BeginStream(evhttp_request* request, HttpReply reply);
  bool MakeRoomForStream(const std::string& owner);
  void FeedStreams();
  std::list<Stream>::iterator EndStream(std::list<Stream>::iterator one);
  Connection* ConnectionOf(evhttp_request* request);
  void Answer(evhttp_request* request, int code, const char* reason, const char* type,
              absl::string_view text);

  const std::vector<Listener> listeners_;
  const HttpHandlers handlers_;
  const Bell stop_, done_;
  Owned<event_base> base_;
  Owned<event> stop_event_;
  Owned<event> tick_event_;
  Owned<event> done_event_;  // a work is done
  Owned<event> bell_event_;  // streams have something new
  Owned<evhttp> http_;
  std::vector<evconnlistener*> accepting_;  // of http_
  std::vector<Connection> connections_;     // at most kMaxConnections that do not stream
  std::list<Stream> streams_;               // at most kMaxStreams
  std::unique_ptr<WorkPool> pool_;          // of the API
  std::map<int64_t, Job> jobs_;             // by the pool's number
  std::optional<SteadyClock::time_point> warned_;
  std::thread thread_;
};

EventHttpServer::~EventHttpServer() {
  if (thread_.joinable()) {
    stop_.Ring();
    thread_.join();
  }
  pool_.reset();
  for (const Stream& one : streams_) {  // the others end with their connections
    if (evhttp_request_get_connection(one.request) == nullptr) evhttp_send_reply_end(one.request);
  }
  for (const auto& [number, job] : jobs_) {
    if (evhttp_request_get_connection(job.request) == nullptr) evhttp_request_free(job.request);
  }
  http_.reset();
  for (const Connection& connection : connections_) bufferevent_decref(connection.bev);
  bell_event_.reset();
  done_event_.reset();
  tick_event_.reset();
  stop_event_.reset();
  base_.reset();
}

absl::Status EventHttpServer::Open() {
  event_config* config = event_config_new();
  if (config == nullptr) return Failed("out of memory");
  event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV);
  base_.reset(event_base_new_with_config(config));
  event_config_free(config);
  if (base_ == nullptr || stop_.fd() < 0 || done_.fd() < 0) {
    return Failed("no event loop can be made");
  }

  stop_event_.reset(event_new(
      base_.get(), stop_.fd(), EV_READ,
      [](int, short, void* base) { event_base_loopbreak(static_cast<event_base*>(base)); },
      base_.get()));
  tick_event_.reset(event_new(
      base_.get(), -1, 0,
      [](int, short, void* self) { static_cast<EventHttpServer*>(self)->OnTick(); }, this));
  done_event_.reset(event_new(
      base_.get(), done_.fd(), EV_READ | EV_PERSIST,
      [](int, short, void* self) { static_cast<EventHttpServer*>(self)->SendDone(); }, this));
  if (handlers_.bell != nullptr) {
    bell_event_.reset(event_new(
        base_.get(), handlers_.bell->fd(), EV_READ | EV_PERSIST,
        [](int, short, void* self) {
          auto* const server = static_cast<EventHttpServer*>(self);
          server->handlers_.bell->Silence();
          server->FeedStreams();
        },
        this));
    if (bell_event_ == nullptr || event_add(bell_event_.get(), nullptr) != 0) {
      return Failed("the event loop is out of memory");
    }
  }
  http_.reset(evhttp_new(base_.get()));
  if (done_event_ == nullptr || event_add(done_event_.get(), nullptr) != 0 ||
      stop_event_ == nullptr || tick_event_ == nullptr || http_ == nullptr ||
      event_add(stop_event_.get(), nullptr) != 0 || event_add(tick_event_.get(), &kTick) != 0) {
    return Failed("the event loop is out of memory");
  }
  evhttp_set_max_headers_size(http_.get(), kMaxHeaders);
  evhttp_set_max_body_size(http_.get(), handlers_.api ? kMaxApiBody : kMaxBody);
  evhttp_set_timeout(http_.get(), static_cast<int>(kMaxLife.count()));
  evhttp_set_allowed_methods(http_.get(), handlers_.api ? EVHTTP_REQ_GET | EVHTTP_REQ_HEAD |
                                                              EVHTTP_REQ_POST | EVHTTP_REQ_PUT |
                                                              EVHTTP_REQ_DELETE | EVHTTP_REQ_PATCH
                                                        : EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
  evhttp_set_gencb(
      http_.get(),
      [](evhttp_request* request, void* self) {
        static_cast<EventHttpServer*>(self)->OnRequest(request);
      },
      this);
  evhttp_set_bevcb(
      http_.get(),
      [](event_base*, void* self) { return static_cast<EventHttpServer*>(self)->OnConnection(); },
      this);

  for (const Listener& listener : listeners_) {
    absl::Status accepts = Accept(listener);
    if (!accepts.ok()) return accepts;
  }
  if (handlers_.api) {
    pool_ = std::make_unique<WorkPool>(WorkPool::Limits(), [this] { done_.Ring(); });
  }
  thread_ = std::thread([this] { Run(); });
  return absl::OkStatus();
}

absl::Status EventHttpServer::Accept(const Listener& listener) {
  // evhttp closes the descriptor that it gets.
  const int fd = fcntl(listener.fd(), F_DUPFD_CLOEXEC, 0);
  if (fd < 0) return Failed("no descriptor left");
  evhttp_bound_socket* bound = evhttp_accept_socket_with_handle(http_.get(), fd);
  if (bound == nullptr) {
    close(fd);
    return Failed("libevent does not take the socket");
  }
  accepting_.push_back(evhttp_bound_socket_get_listener(bound));
  // Without descriptors the socket stays readable: pauses accepting until the next tick.
  evconnlistener_set_error_cb(accepting_.back(), [](evconnlistener* accepting, void*) {
    evconnlistener_disable(accepting);
  });
  return absl::OkStatus();
}

void EventHttpServer::Run() {
  // Bufferevents write without MSG_NOSIGNAL; a disconnected client must not end the process.
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
  event_base_dispatch(base_.get());
}

bufferevent* EventHttpServer::OnConnection() {
  if (CountShort() + 1 >= kMaxConnections) Sweep();
  // Closing with the last reference keeps the descriptor's number reserved until then.
  bufferevent* bev = bufferevent_socket_new(base_.get(), -1, BEV_OPT_CLOSE_ON_FREE);
  if (bev == nullptr) return nullptr;
  bufferevent_setwatermark(bev, EV_READ, 0, kMaxInput);
  bufferevent_incref(bev);
  connections_.push_back({.bev = bev, .since = SteadyClock::now()});
  if (CountShort() >= kMaxConnections) {
    for (evconnlistener* accepting : accepting_) evconnlistener_disable(accepting);
    const auto now = SteadyClock::now();
    if (!warned_.has_value() || now - *warned_ >= std::chrono::minutes(1)) {
      warned_ = now;
      spdlog::warn("{}: {} connections at once, further ones wait", listeners_.front().address(),
                   kMaxConnections);
    }
  }
  return bev;
}

void EventHttpServer::OnTick() {
  Sweep();
  const auto now = SteadyClock::now();
  for (const Connection& connection : connections_) {
    if (connection.streams || connection.busy ||
        now - connection.since < (connection.answered ? kMaxReading : kMaxLife)) {
      continue;
    }
    bufferevent_trigger_event(connection.bev, BEV_EVENT_TIMEOUT | BEV_EVENT_READING, 0);
  }
  SendLate();
  FeedStreams();
  Sweep();
  if (CountShort() < kMaxConnections) {
    for (evconnlistener* accepting : accepting_) evconnlistener_enable(accepting);
  }
  event_add(tick_event_.get(), &kTick);
}

// Releases the connections that have ended.
void EventHttpServer::Sweep() {
  const auto live = std::partition(connections_.begin(), connections_.end(),
                                   [](const Connection& one) { return !one.over(); });
  std::for_each(live, connections_.end(),
                [](const Connection& one) { bufferevent_decref(one.bev); });
  connections_.erase(live, connections_.end());
}

void EventHttpServer::OnApiRequest(evhttp_request* request) {
  if (IsAmbiguous(request)) {
    Answer(request, HTTP_BADREQUEST, "Bad Request", kPlain,
           "send one Content-Length and one Authorization header, and no Transfer-Encoding\n");
    return;
  }
  const evhttp_uri* uri = evhttp_request_get_evhttp_uri(request);
  const char* path = evhttp_uri_get_path(uri);
  const char* query = evhttp_uri_get_query(uri);
  HttpRequest asked{.method = MethodName(evhttp_request_get_command(request)),
                    .path = path == nullptr ? "" : path,
                    .query = query == nullptr ? "" : query,
                    .authorization = HeaderOf(request, "Authorization"),
                    .content_type = HeaderOf(request, "Content-Type"),
                    .accept = HeaderOf(request, "Accept"),
                    .cookie = HeaderOf(request, "Cookie"),
                    .last_event_id = HeaderOf(request, "Last-Event-ID"),
                    .fetch_site = HeaderOf(request, "Sec-Fetch-Site"),
                    .origin = HeaderOf(request, "Origin"),
                    .host = HeaderOf(request, "X-Forwarded-Host"),
                    .secure = HeaderOf(request, "X-Forwarded-Proto") == "https"};
  if (asked.host.empty()) asked.host = HeaderOf(request, "Host");
  asked.content_type.resize(std::min(asked.content_type.size(), asked.content_type.find(';')));
  absl::StripAsciiWhitespace(&asked.content_type);
  absl::AsciiStrToLower(&asked.content_type);
  evbuffer* body = evhttp_request_get_input_buffer(request);
  asked.body.resize(evbuffer_get_length(body));
  if (!asked.body.empty()) evbuffer_remove(body, asked.body.data(), asked.body.size());

  HttpReply reply = handlers_.api(asked);
  if (reply.work) {
    BeginWork(request, std::move(reply));
  } else {
    Send(request, std::move(reply));
  }
}

EventHttpServer::Connection* EventHttpServer::ConnectionOf(evhttp_request* request) {
  evhttp_connection* const connection = evhttp_request_get_connection(request);
  if (connection == nullptr) return nullptr;
  const bufferevent* const bev = evhttp_connection_get_bufferevent(connection);
  for (Connection& one : connections_) {
    if (one.bev == bev) return &one;
  }
  return nullptr;
}

void EventHttpServer::Send(evhttp_request* request, HttpReply reply) {
  if (evhttp_request_get_connection(request) == nullptr) {  // nobody waits any more
    evhttp_request_free(request);
    return;
  }
  evkeyvalq* headers = evhttp_request_get_output_headers(request);
  for (const auto& [name, value] : reply.headers) {
    evhttp_add_header(headers, name.c_str(), value.c_str());
  }
  if (evhttp_find_header(headers, "Cache-Control") == nullptr) {
    evhttp_add_header(headers, "Cache-Control", "no-store");
  }
  if (reply.next) {
    BeginStream(request, std::move(reply));
    return;
  }
  Answer(request, reply.code, reply.reason.c_str(), reply.type.c_str(), reply.body);
}

void EventHttpServer::BeginWork(evhttp_request* request, HttpReply reply) {
  auto result = std::make_shared<HttpReply>();
  const int64_t number =
      pool_->Submit(reply.owner, [result, run = std::move(reply.work)] { *result = run(); });
  if (number == 0) {
    Send(request, reply.late(/*begun=*/false));
    return;
  }
  if (Connection* const connection = ConnectionOf(request)) {
    connection->busy = true;
    // evhttp, which has the whole request, ends the process over a byte that comes before the
    // answer. From the answer on it reads again, and forgets what it reads.
    bufferevent_disable(connection->bev, EV_READ);
  }
  jobs_.emplace(number, Job{request, std::move(result), std::move(reply.late), SteadyClock::now()});
}

void EventHttpServer::SendDone() {
  done_.Silence();
  for (const int64_t number : pool_->TakeDone()) {
    auto job = jobs_.extract(number);
    if (job.empty()) continue;  // its client was told that it took too long
    Send(job.mapped().request, std::move(*job.mapped().result));
  }
}

// Answers those that were not done in time.
void EventHttpServer::SendLate() {
  const auto since = SteadyClock::now() - absl::ToChronoNanoseconds(handlers_.patience);
  std::vector<int64_t> late;
  for (const auto& [number, job] : jobs_) {
    if (job.since < since) late.push_back(number);
  }
  for (const int64_t number : late) {
    const bool begun = !pool_->Cancel(number);
    if (begun) SendDone();  // it may have ended just now
    auto job = jobs_.extract(number);
    if (!job.empty()) Send(job.mapped().request, job.mapped().late(begun));
  }
}

// False: the owner has its share. One that has more streams loses its oldest.
bool EventHttpServer::MakeRoomForStream(const std::string& owner) {
  std::map<std::string, size_t> owners;
  for (const Stream& one : streams_) ++owners[one.owner];
  if (owners[owner] >= kMaxStreamsOfOne) return false;
  if (streams_.size() < kMaxStreams) return true;
  const auto most =
      std::max_element(owners.begin(), owners.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most->second <= owners[owner] + 1) return false;
  EndStream(std::find_if(streams_.begin(), streams_.end(),
                         [&](const Stream& one) { return one.owner == most->first; }));
  return true;
}

void EventHttpServer::BeginStream(evhttp_request* request, HttpReply reply) {
  if (evhttp_request_get_command(request) == EVHTTP_REQ_HEAD || !MakeRoomForStream(reply.owner)) {
    evhttp_add_header(evhttp_request_get_output_headers(request), "Retry-After", "10");
    Answer(request, HTTP_SERVUNAVAIL, "Service Unavailable", kPlain,
           "there are too many streams already\n");
    return;
  }
  evkeyvalq* headers = evhttp_request_get_output_headers(request);
  evhttp_add_header(headers, "Content-Type", reply.type.c_str());
  evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
  evhttp_add_header(headers, "Connection", "close");
  evhttp_add_header(headers, "X-Accel-Buffering", "no");  // nginx hands it on as it comes
  bufferevent* const bev =
      evhttp_connection_get_bufferevent(evhttp_request_get_connection(request));
  if (Connection* const connection = ConnectionOf(request)) connection->streams = true;
  streams_.push_back({request, std::move(reply.next), std::move(reply.owner), SteadyClock::now()});
  evhttp_send_reply_start(request, HTTP_OK, "OK");
  // The client says nothing more, and need not.
  bufferevent_set_timeouts(bev, nullptr, &kStreamSilence);
  event_active(tick_event_.get(), EV_TIMEOUT, 0);  // what there is goes out at once
}

std::list<EventHttpServer::Stream>::iterator EventHttpServer::EndStream(
    std::list<Stream>::iterator one) {
  // A client that does not read must not keep the connection.
  if (Connection* const connection = ConnectionOf(one->request)) {
    connection->streams = connection->answered = false;
    connection->since = SteadyClock::now();
  }
  evhttp_request* const request = one->request;
  one = streams_.erase(one);
  evhttp_send_reply_end(request);
  return one;
}

void EventHttpServer::FeedStreams() {
  const auto now = SteadyClock::now();
  for (auto one = streams_.begin(); one != streams_.end();) {
    // evhttp takes the connection away from a request whose client is gone.
    evhttp_connection* connection = evhttp_request_get_connection(one->request);
    std::optional<std::string> text;
    if (connection != nullptr && now - one->since < kMaxStream) {
      const size_t unread = evbuffer_get_length(
          bufferevent_get_output(evhttp_connection_get_bufferevent(connection)));
      if (unread <= kMaxUnread) text = one->next();
    }
    if (!text.has_value()) {
      one = EndStream(one);
      continue;
    }
    if (!text->empty()) {
      Owned<evbuffer> chunk(evbuffer_new());
      if (chunk != nullptr && evbuffer_add(chunk.get(), text->data(), text->size()) == 0) {
        evhttp_send_reply_chunk(one->request, chunk.get());
      }
    }
    ++one;
  }
}

void EventHttpServer::OnRequest(evhttp_request* request) {
  if (handlers_.api) {
    OnApiRequest(request);
    return;
  }
  const char* header = evhttp_find_header(evhttp_request_get_input_headers(request), "Host");
  const evhttp_uri* uri = evhttp_request_get_evhttp_uri(request);
  const char* uri_host = evhttp_uri_get_host(uri);  // of GET http://HOST/PATH
  if ((header != nullptr && !IsLoopbackHost(header)) ||
      (uri_host != nullptr && !IsLoopbackHost(uri_host))) {
    Answer(request, 403, "Forbidden", kPlain,
           "the Host header must be localhost, 127.0.0.1 or [::1]\n");
    return;
  }
  const char* raw_path = evhttp_uri_get_path(uri);
  const absl::string_view path = raw_path == nullptr ? "" : raw_path;
  if (path == "/metrics") {
    const char* accept = evhttp_find_header(evhttp_request_get_input_headers(request), "Accept");
    const Exposition wanted = WantedExposition(accept == nullptr ? "" : accept);
    const std::string text = handlers_.metrics();
    Answer(request, HTTP_OK, "OK", ContentType(wanted),
           wanted == Exposition::kOpenMetrics ? ToOpenMetrics(text) : text);
  } else if (path == "/healthz") {
    Answer(request, HTTP_OK, "OK", kPlain, "ok\n");
  } else if (path == "/readyz") {
    const std::string missing = handlers_.not_ready();
    if (missing.empty()) {
      Answer(request, HTTP_OK, "OK", kPlain, "ready\n");
    } else {
      Answer(request, HTTP_SERVUNAVAIL, "Service Unavailable", kPlain,
             absl::StrCat(absl::StripSuffix(missing, "\n"), "\n"));
    }
  } else {
    Answer(request, HTTP_NOTFOUND, "Not Found", kPlain, "/metrics, /healthz or /readyz\n");
  }
}

void EventHttpServer::Answer(evhttp_request* request, int code, const char* reason,
                             const char* type, absl::string_view text) {
  evkeyvalq* headers = evhttp_request_get_output_headers(request);
  evhttp_add_header(headers, "Content-Type", type);
  evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
  evhttp_add_header(headers, "Connection", "close");
  evhttp_add_header(headers, "Content-Length", absl::StrCat(text.size()).c_str());
  Owned<evbuffer> body(evbuffer_new());
  if (body != nullptr && evhttp_request_get_command(request) != EVHTTP_REQ_HEAD) {
    evbuffer_add(body.get(), text.data(), text.size());
  }
  if (Connection* const connection = ConnectionOf(request)) {
    connection->busy = false;
    connection->answered = true;
    connection->since = SteadyClock::now();
    // A client reads on, and says nothing more.
    bufferevent_set_timeouts(connection->bev, nullptr, &kAnswerSilence);
  }
  // The connection ends after this; its slot is free in the next turn of the loop.
  evhttp_request_set_on_complete_cb(
      request,
      [](evhttp_request*, void* tick) { event_active(static_cast<event*>(tick), EV_TIMEOUT, 0); },
      tick_event_.get());
  evhttp_send_reply(request, code, reason, body.get());
}

}  // namespace

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(std::vector<Listener> listeners,
                                                              HttpHandlers handlers) {
  auto server = std::make_unique<EventHttpServer>(std::move(listeners), std::move(handlers));
  if (absl::Status status = server->Open(); !status.ok()) return status;
  return server;
}

}  // namespace deferd
