#include "limiter/config/config_keys.h"

namespace deferd {
namespace {

constexpr TomlKeyInfo kKeys[] = {
    {"", "state_dir", "string", "`\"/var/lib/deferd\"`",
     "Directory of counts, cases, positions and ledger. Only deferd writes here."},
    {"", "policy", "string", "",
     "Path of the policy file. Without it the built-in policy is in force, which enforces."},
    {"", "reload_guard", "string", "no guard",
     "A reload refuses a policy that would have blocked other subjects in the last day, more of "
     "all "
     "subjects than this, such as `\"5%\"`. `deferctl reload --force` takes it all the same."},
    {"[intake]", "exim", "string or list", "",
     "Exim logs to follow: absolute paths or patterns such as `/var/log/*/mainlog`."},
    {"[intake]", "postfix", "string or list", "", "Postfix logs to follow, in the same way."},
    {"[intake]", "journal", "string or list", "",
     "Read what `\"postfix\"` or `\"exim\"` (with `log_file_path = syslog`) writes to systemd's "
     "journal. Do not follow the same server's file too."},
    {"[intake]", "journal_directory", "string", "this machine's",
     "Absolute path of another journal."},
    {"[intake]", "journal_users", "string or list",
     "those that exist of `postfix`; of `Debian-exim`, `exim`, `mailnull`, `mail`",
     "Users whose entries are read, besides root: Postfix's `mail_owner`, Exim's `exim_user`."},
    {"[intake]", "timezone", "string", "the machine's",
     "Time zone of stamps without one, such as `\"Europe/Berlin\"`."},
    {"[charge]", "order", "string or list", "`[\"login\", \"user\", \"relay\"]`",
     "Who pays: the first identity that is proven."},
    {"[charge]", "users", "string or list", "",
     "Files that map system users to domains: `domain: user` or `user: domain`."},
    {"[charge]", "logins", "string or list", "",
     "Files that map logins without an `@` to domains: `login: domain`."},
    {"[charge]", "hosted", "string or list", "",
     "Domains hosted here, or files with them. Without it every charged domain counts as hosted."},
    {"[charge]", "local_domains", "string or list", "`hosted` and the sender's own",
     "Domains whose mailboxes are on this host. A failure there is not counted as a delivery to "
     "others."},
    {"[charge]", "relay_hosts", "string or list", "",
     "Hosts whose envelope senders are trusted. For this host itself: `\"127.0.0.1\"`, "
     "`\"::1\"`."},
    {"[charge]", "internal_hosts", "string or list", "",
     "Your own hosts: passing mail to them does not count as a delivery."},
    {"[charge]", "local", "boolean", "`false`", "Deliveries on this host count too."},
    {"[hook]", "exim", "address or list", "",
     "Where Exim queries deferd: `unix:/PATH`, `127.0.0.1:PORT` or `[::1]:PORT`. A list: one "
     "socket for each instance."},
    {"[hook]", "postfix", "address or list", "",
     "Where Postfix queries deferd, below its chroot. A list: one socket for each instance."},
    {"[hook]", "mode", "string", "`\"0660\"`", "File mode of the sockets, such as `\"0660\"`."},
    {"[hook]", "group", "string", "the mail server's",
     "Group of the sockets. Without it, each gets the group of the mail server that asks there, "
     "if deferd may give it."},
    {"[admin]", "socket", "path", "`\"/run/deferd/admin.sock\"`",
     "Where `deferctl` connects. Its permissions are the access list."},
    {"[admin]", "mode", "string", "`\"0660\"`", "File mode of the admin socket."},
    {"[admin]", "group", "string", "", "Group of the admin socket."},
    {"[admin]", "readers", "path", "",
     "A second admin socket, for the help desk: it answers verbs that change nothing "
     "(`/run/deferd/readers.sock`, where `deferctl` looks too)."},
    {"[admin]", "readers_group", "string", "",
     "Group of the readers' socket; its mode is `0660`. deferd must be a member of the group."},
    {"[queue]", "helper", "path or list", "",
     "Socket of [`deferd-queue`](operating.md#hold-and-release): "
     "`\"/run/deferd-queue/queue.sock\"`. A list: one helper for each instance."},
    {"[http]", "listen", "address or list", "",
     "`/metrics`, `/healthz`, `/readyz`; loopback only: `\"127.0.0.1:9780\"`, `\"[::1]:9780\"`."},
    {"[http]", "subject_series", "integer", "`0`",
     "How many subjects `/metrics` names besides the blocked ones, at most 1000; `0`: none. Every "
     "local user can read them."},
    {"[api]", "listen", "address", "",
     "The [HTTP API](api.md), for clients with a token: `\"unix:/run/deferd/api.sock\"` or "
     "`\"127.0.0.1:9781\"`. Without it there is no API."},
    {"[api]", "console", "true, false", "`false`",
     "The [web console](console.md) at `/` of the same address."},
    {"[api]", "owner_page", "address", "",
     "Switches the [owner's page](console.md#owners-page) on: the proxy's address as owners reach "
     "it, such as `\"https://mail.example.net\"`."},
    {"[api]", "owner_key", "path", "",
     "File with the key of the links to it, 32 bytes or more. Default: deferd makes one in "
     "`state_dir`. Nodes that share a proxy need the same file."},
    {"[api]", "mode", "string", "`\"0660\"`", "File mode of the API's socket."},
    {"[api]", "group", "string", "", "Group of the API's socket: that of the proxy before it."},
    {"[shared]", "redis", "URL or list", "",
     "`redis://USER:PASSWORD@HOST:PORT`, `redis+unix:///PATH`, "
     "`redis+sentinel://HOST:26379,HOST:26379/MASTER` or "
     "[`redis+cluster://HOST:6379,HOST:6379`](sharing.md#redis-cluster); with TLS `rediss://`, "
     "`rediss+sentinel://` and `rediss+cluster://`. A list: [shards](sharing.md#shards). See "
     "[Sharing](sharing.md)."},
    {"[shared]", "password_file", "path", "",
     "A file with the password, in place of one in `redis`. Read at each connection."},
    {"[shared]", "sentinel_password_file", "path", "",
     "A file with the sentinels' own password (`requirepass` in their configuration), if they "
     "require one. Read at each connection."},
    {"[shared]", "sentinel_user", "string", "",
     "The user of that password; without it, the default user."},
    {"[shared]", "tls_ca_file", "path", "the system's authorities",
     "Who may have signed Redis' certificate (PEM). This and the next two are read at each "
     "connection."},
    {"[shared]", "tls_cert_file", "path", "",
     "This server's certificate, with its chain (PEM), if Redis wants one."},
    {"[shared]", "tls_key_file", "path", "in `tls_cert_file`", "Its key (PEM, no passphrase)."},
    {"[shared]", "tls_server_name", "string", "the host in `redis`",
     "The name in Redis' certificate."},
    {"[shared]", "node", "string", "random, kept in `state_dir`", "This server's permanent name."},
    {"[ledger]", "keep", "duration", "`\"7d\"`",
     "How long `deferctl track` finds an attempt; `\"off\"`: no ledger."},
    {"[ledger]", "max_megabytes", "integer", "`8192`", "Size limit; the oldest attempts go first."},
    {"[ledger]", "recipients", "string", "`\"plain\"`",
     "`\"hash\"`: local parts are stored as keyed hashes."},
    {"[ledger]", "subjects", "boolean", "`false`", "Keep the messages' Subject: lines."},
    {"[notice.NAME]", "type", "string", "", "`\"mail\"`, `\"webhook\"` or `\"command\"`."},
    {"[notice.NAME]", "on", "string or list", "all but `\"extended\"`",
     "[Events](notices.md#events) to send: names, or `\"all\"`."},
    {"[notice.NAME]", "for", "string or list", "",
     "Kinds of subject, such as `\"domain\"` or `\"login\"`, and `\"tag:NAME\"` of the policy. "
     "Without it, all."},
    {"[notice.NAME]", "quiet_hours", "string", "",
     "`\"22:00-07:00\"`, in `[intake] timezone`: only what is critical is sent then."},
    {"[notice.NAME]", "per_hour", "integer", "`60`; of a command `3600`",
     "Most messages an hour; more wait and are folded."},
    {"[notice.NAME]", "per_subject_per_hour", "integer", "`4`",
     "Most messages an hour about one subject; not of a command."},
    {"[notice.NAME]", "batch", "duration", "`\"5s\"`",
     "Wait so long for more, to send it together."},
    {"[notice.NAME]", "expire", "duration", "`\"2d\"`", "Give up after this time."},
    {"[notice.NAME]", "timeout", "duration", "`\"15s\"`", "Limit of one attempt."},
    {"[notice.NAME]", "language", "string", "`\"en\"`", "`\"en\"` or `\"de\"`."},
    {"[notice.NAME]", "digest", "string", "", "Send the daily digest at this time: `\"07:00\"`."},
    {"[notice.NAME]", "host", "string", "`\"127.0.0.1:25\"`", "Mail: the SMTP server, HOST:PORT."},
    {"[notice.NAME]", "from", "string", "`deferd@` and the host's name",
     "Mail: the From: address."},
    {"[notice.NAME]", "to", "string or list", "", "Mail: addresses of administrators."},
    {"[notice.NAME]", "owner", "string", "",
     "Mail: the owner's address, such as `\"postmaster@{domain}\"`."},
    {"[notice.NAME]", "owners", "string or list", "",
     "Mail: files with `DOMAIN: ADDRESS` or `DOMAIN: ADDRESS LANGUAGE` lines, ahead of `owner`."},
    {"[notice.NAME]", "tls", "boolean", "`false`",
     "Mail: require TLS with a valid certificate. Without it, TLS is used where it is offered."},
    {"[notice.NAME]", "user", "string", "", "Mail: a login of the SMTP server."},
    {"[notice.NAME]", "password_file", "string", "", "Mail: a file with its password."},
    {"[notice.NAME]", "title", "string", "",
     "Mail: the Subject:, with `{event}`, `{subject}`, `{severity}`, `{host}`."},
    {"[notice.NAME]", "url", "URL", "", "Webhook: where events are posted."},
    {"[notice.NAME]", "secret_file", "string", "",
     "Webhook: a file with the secret of the HMAC-SHA256 signature."},
    {"[notice.NAME]", "allow_private", "boolean", "`false`",
     "Webhook: the server may be in a private network or on this machine."},
    {"[notice.NAME]", "socket", "path", "`\"/run/deferd-notify/notify.sock\"`",
     "Command: deferd-notify's socket."},
};

}  // namespace

absl::Span<const TomlKeyInfo> ConfigKeys() { return kKeys; }

}  // namespace deferd
