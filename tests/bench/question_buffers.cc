#include "tests/bench/question_buffers.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <sys/socket.h>

#include <cstdlib>

namespace deferd {
namespace {

void OnRead(bufferevent* client, void* /*unused*/) {
  evbuffer* const in = bufferevent_get_input(client);
  evbuffer* const out = bufferevent_get_output(client);
  size_t size = 0;
  while (char* line = evbuffer_readln(in, &size, EVBUFFER_EOL_LF)) {
    std::free(line);
    evbuffer_add(out, "pass\n", 5);
  }
}

void OnEvent(bufferevent* client, short what, void* /*unused*/) {
  if ((what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) != 0) bufferevent_free(client);
}

void OnAccept(evutil_socket_t listen_fd, short /*what*/, void* base) {
  for (int fd; (fd = accept4(listen_fd, nullptr, nullptr, SOCK_NONBLOCK)) >= 0;) {
    bufferevent* const client =
        bufferevent_socket_new(static_cast<event_base*>(base), fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(client, OnRead, nullptr, OnEvent, nullptr);
    bufferevent_enable(client, EV_READ | EV_WRITE);
  }
}

}  // namespace

void ServeBuffers(int listen_fd, int stop_fd) {
  event_base* const base = event_base_new();
  event* const accepting = event_new(base, listen_fd, EV_READ | EV_PERSIST, OnAccept, base);
  event* const stopping = event_new(
      base, stop_fd, EV_READ,
      [](evutil_socket_t, short, void* loop) {
        event_base_loopbreak(static_cast<event_base*>(loop));
      },
      base);
  event_add(accepting, nullptr);
  event_add(stopping, nullptr);
  event_base_dispatch(base);
  event_free(stopping);
  event_free(accepting);
  event_base_free(base);
}

}  // namespace deferd
