#include "limiter/store/state_tables.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "limiter/store/checksums.h"
#include "limiter/store/schema.h"

namespace deferd {

namespace {

// Calls `take` with each row of `sql`.
template <typename Take>
absl::Status ForEach(Database* db, absl::string_view sql, Take take) {
  absl::StatusOr<Statement> read = db->Prepare(sql);
  if (!read.ok()) return read.status();
  while (true) {
    absl::StatusOr<bool> row = read->Step();
    if (!row.ok()) return row.status();
    if (!*row) return absl::OkStatus();
    absl::Status status = take(*read);
    if (!status.ok()) return status;
  }
}

std::string String(const Statement& row, int column) { return std::string(row.Text(column)); }

template <typename Take>
absl::Status ForEachText(Database* db, absl::string_view table, Take take) {
  return ForEach(db, absl::StrCat("SELECT name, text FROM ", table), [&](const Statement& row) {
    return take(StoredText{String(row, 0), String(row, 1)});
  });
}

}  // namespace

absl::StatusOr<StateTables> StateTables::Open(Database* db) {
  StateTables tables(db);
  absl::Status status = tables.Prepare();
  if (!status.ok()) return status;
  return tables;
}

absl::Status StateTables::Prepare() {
  const auto prepare = [this](Statement* statement, absl::string_view sql) {
    absl::StatusOr<Statement> prepared = db_->Prepare(sql);
    if (prepared.ok()) *statement = *std::move(prepared);
    return prepared.status();
  };
  absl::Status status = absl::OkStatus();
  for (auto [table, name] : {std::pair(&contributions_, "contribution"),
                             std::pair(&clearings_, "clearing"), std::pair(&places_, "place"),
                             std::pair(&cases_, "block_case"), std::pair(&receipts_, "receipt"),
                             std::pair(&notices_, "notice"), std::pair(&facts_, "fact")}) {
    status.Update(
        prepare(&table->put, absl::StrCat("INSERT INTO ", name, " ", CheckedValues(name, 2),
                                          " ON CONFLICT DO UPDATE SET "
                                          "text = excluded.text, crc = excluded.crc")));
    status.Update(prepare(&table->forget, absl::StrCat("DELETE FROM ", name, " WHERE name = ?")));
  }
  status.Update(
      prepare(&put_log_, absl::StrCat("INSERT INTO log ", CheckedValues("log", 5),
                                      " ON CONFLICT DO UPDATE "
                                      "SET reader = excluded.reader, gaps = excluded.gaps, "
                                      "last_gap = excluded.last_gap, cursor = excluded.cursor, "
                                      "crc = excluded.crc")));
  status.Update(prepare(&forget_files_, "DELETE FROM log_file WHERE source = ?"));
  status.Update(prepare(&put_file_, "INSERT INTO log_file " + CheckedValues("log_file", 10)));
  status.Update(prepare(
      &put_open_, "INSERT OR REPLACE INTO open_message " + CheckedValues("open_message", 12)));
  status.Update(prepare(&forget_open_, "DELETE FROM open_message WHERE source = ? AND id = ?"));
  for (auto [table, name] : {std::pair(&windows_, "window"), std::pair(&left_out_, "left_out")}) {
    status.Update(
        prepare(&table->put, absl::StrCat("INSERT INTO ", name, " ", CheckedValues(name, 4),
                                          " ON CONFLICT DO UPDATE SET "
                                          "row = excluded.row, crc = excluded.crc")));
    status.Update(
        prepare(&table->forget,
                absl::StrCat("DELETE FROM ", name, " WHERE kind = ? AND id = ? AND seconds = ?")));
  }
  status.Update(prepare(
      &put_event_, "INSERT INTO case_event (time, text, crc) " + CheckedValues("case_event", 2)));
  status.Update(prepare(&forget_events_,
                        "DELETE FROM case_event "
                        "WHERE number <= (SELECT max(number) FROM case_event) - ?"));
  return status;
}

absl::Status StateTables::Write(const StoreBatch& batch) {
  absl::Status status = absl::OkStatus();
  for (size_t i = 0; status.ok() && i < batch.positions.size(); ++i) {
    status = WritePosition(batch.positions[i]);
  }
  for (size_t i = 0; status.ok() && i < batch.open_messages.size(); ++i) {
    status = WriteOpenMessage(batch.open_messages[i]);
  }
  for (size_t i = 0; status.ok() && i < batch.windows.size(); ++i) {
    status = WriteWindow(batch.windows[i]);
  }
  if (status.ok()) status = Write(batch.contributions, &contributions_);
  if (status.ok()) status = Write(batch.clearings, &clearings_);
  if (status.ok()) status = Write(batch.places, &places_);
  if (status.ok()) status = Write(batch.cases, &cases_);
  if (status.ok()) status = Write(batch.receipts, &receipts_);
  for (size_t i = 0; status.ok() && i < batch.cases.size(); ++i) {
    if (batch.cases[i].text.empty()) status = receipts_.forget.Run(batch.cases[i].name);
  }
  if (status.ok()) status = Write(batch.notices, &notices_);
  if (status.ok()) status = Write(batch.facts, &facts_);
  if (status.ok() && !batch.events.empty()) status = WriteEvents(batch.events);
  return status;
}

absl::Status StateTables::Write(const std::vector<StoredText>& texts, TextTable* table) {
  for (const StoredText& text : texts) {
    absl::Status status =
        text.text.empty() ? table->forget.Run(text.name) : table->put.Run(text.name, text.text);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// The bindings name every field: a new one does not compile until it is stored.
absl::Status StateTables::WritePosition(const SourcePosition& source) {
  const auto& [files, cursor, reader, gaps, last_gap] = source.position;
  absl::Status status = put_log_.Run(source.source, reader, gaps, ToColumn(last_gap), cursor);
  if (status.ok()) status = forget_files_.Run(source.source);
  for (size_t i = 0; status.ok() && i < files.size(); ++i) {
    const auto& [device, inode, offset, head_length, head_hash, tail_length, tail_hash, rotated] =
        files[i];
    status = put_file_.Run(source.source, i, device, inode, offset, head_length, head_hash,
                           tail_length, tail_hash, rotated);
  }
  return status;
}

absl::Status StateTables::WriteOpenMessage(const StoredOpenMessage& open) {
  if (!open.message.has_value()) return forget_open_.Run(open.source, open.id);
  const auto& [key, identity, deferred] = *open.message;
  const auto& [id, arrival] = key;
  // The reader's own state tells which messages are unclear.
  const auto& [sender, login, user, host, identified_domain, made_by_mta, sender_vouched, unclear] =
      identity;
  static_cast<void>(unclear);
  return put_open_.Run(open.source, open.id, id, ToColumn(arrival), sender, login, user, host,
                       identified_domain, made_by_mta, sender_vouched,
                       absl::StrJoin(deferred, "\n"));
}

absl::Status StateTables::WriteWindow(const StoredWindow& window) {
  const int kind = static_cast<int>(window.subject.kind);
  const int64_t seconds = absl::ToInt64Seconds(window.length);
  WindowTable& table = window.left_out ? left_out_ : windows_;
  if (window.row.empty()) return table.forget.Run(kind, window.subject.id, seconds);
  return table.put.Run(kind, window.subject.id, seconds, Blob{window.row});
}

absl::Status StateTables::WriteEvents(const std::vector<StoredCaseEvent>& events) {
  for (const StoredCaseEvent& event : events) {
    absl::Status status = put_event_.Run(ToColumn(event.time), event.text);
    if (!status.ok()) return status;
  }
  return forget_events_.Run(LocalStore::kMaxEvents);
}

absl::Status StateTables::Load(StateVisitor* visitor) {
  absl::Status status =
      ForEachText(db_, "fact", [&](StoredText text) { return visitor->OnFact(std::move(text)); });
  if (status.ok()) status = LoadPositions(visitor);
  if (status.ok()) status = LoadOpenMessages(visitor);
  for (bool left_out : {false, true}) {
    if (status.ok()) status = LoadWindows(visitor, left_out);
  }
  if (status.ok()) {
    status = ForEachText(db_, "contribution",
                         [&](StoredText text) { return visitor->OnContribution(std::move(text)); });
  }
  if (status.ok()) {
    status = ForEachText(db_, "clearing",
                         [&](StoredText text) { return visitor->OnClearing(std::move(text)); });
  }
  if (status.ok()) {
    status = ForEachText(db_, "place",
                         [&](StoredText text) { return visitor->OnPlace(std::move(text)); });
  }
  if (status.ok()) {
    status = ForEachText(db_, "block_case",
                         [&](StoredText text) { return visitor->OnCase(std::move(text)); });
  }
  if (status.ok()) {
    status = ForEachText(db_, "notice",
                         [&](StoredText text) { return visitor->OnNotice(std::move(text)); });
  }
  if (status.ok()) status = LoadEvents(visitor);
  return status;
}

absl::Status StateTables::LoadPositions(StateVisitor* visitor) {
  absl::StatusOr<Statement> files =
      db_->Prepare("SELECT * FROM log_file WHERE source = ? ORDER BY number");
  if (!files.ok()) return files.status();
  return ForEach(
      db_, "SELECT source, reader, gaps, last_gap, cursor FROM log ORDER BY source",
      [&](const Statement& row) -> absl::Status {
        SourcePosition source = {String(row, 0), {.reader = String(row, 1), .gaps = row.Int(2)}};
        source.position.last_gap = TimeColumn(row, 3);
        source.position.cursor = String(row, 4);
        files->Bind(source.source);
        while (true) {
          absl::StatusOr<bool> file = files->Step();
          if (!file.ok()) return file.status();
          if (!*file) break;
          source.position.files.push_back({.device = static_cast<uint64_t>(files->Int(2)),
                                           .inode = static_cast<uint64_t>(files->Int(3)),
                                           .offset = files->Int(4),
                                           .head_length = files->Int(5),
                                           .head_hash = static_cast<uint64_t>(files->Int(6)),
                                           .tail_length = files->Int(7),
                                           .tail_hash = static_cast<uint64_t>(files->Int(8)),
                                           .rotated = files->Int(9) != 0});
        }
        files->Reset();
        return visitor->OnPosition(std::move(source));
      });
}

absl::Status StateTables::LoadOpenMessages(StateVisitor* visitor) {
  return ForEachOpenMessage(db_, [visitor](std::string source, OpenMessage message) {
    return visitor->OnOpenMessage(std::move(source), std::move(message));
  });
}

absl::Status ForEachOpenMessage(
    Database* db, absl::FunctionRef<absl::Status(std::string source, OpenMessage message)> use) {
  // An unknown arrival is the least.
  return ForEach(db,
                 "SELECT source, message_id, arrival, sender, login, user, host, "
                 "identified_domain, made_by_mta, sender_vouched, deferred FROM open_message "
                 "ORDER BY source, arrival, id",
                 [&](const Statement& row) {
                   OpenMessage message;
                   message.key = {String(row, 1), TimeColumn(row, 2)};
                   message.identity = {.sender = String(row, 3),
                                       .login = String(row, 4),
                                       .user = String(row, 5),
                                       .host = String(row, 6),
                                       .identified_domain = String(row, 7),
                                       .made_by_mta = row.Int(8) != 0,
                                       .sender_vouched = row.Int(9) != 0};
                   message.deferred = absl::StrSplit(row.Text(10), '\n', absl::SkipEmpty());
                   return use(String(row, 0), std::move(message));
                 });
}

absl::Status StateTables::LoadWindows(StateVisitor* visitor, bool left_out) {
  return ForEach(
      db_, absl::StrCat("SELECT kind, id, seconds, row FROM ", left_out ? "left_out" : "window"),
      [&](const Statement& row) -> absl::Status {
        const int64_t kind = row.Int(0);
        if (kind < 0 || kind >= kSubjectKinds) {
          return absl::DataLossError(
              absl::StrCat(db_->path(), ": a window of the unknown kind ", kind,
                           "; move the file aside and start again: the counts are read from the "
                           "logs anew"));
        }
        return visitor->OnWindow({{static_cast<SubjectKind>(kind), String(row, 1)},
                                  absl::Seconds(row.Int(2)),
                                  String(row, 3),
                                  left_out});
      });
}

absl::Status StateTables::LoadEvents(StateVisitor* visitor) {
  return ForEach(db_, "SELECT time, text FROM case_event ORDER BY number",
                 [&](const Statement& row) {
                   return visitor->OnEvent({TimeColumn(row, 0), String(row, 1)});
                 });
}

}  // namespace deferd
