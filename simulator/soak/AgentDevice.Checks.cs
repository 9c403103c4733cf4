using Agent.Core;
using Agent.Hub;

namespace Agent.Soak;

// What the world knows about the agent's outages, settings and tokens, held against what the agent says.
internal sealed partial class AgentDevice
{
    private const int BackMsMin = 180_000;
    private const int RollbackMs = 15 * 60_000;
    private const int TokenRoomMs = 40_000;
    private const int TrapMsMax = 35 * 60_000;
    private const int QueuedMax = 1; // One that has just come.

    private readonly Dictionary<int, HashSet<DisconnectReason>> made = [];
    private readonly HashSet<DisconnectReason> possible = [];
    private readonly BlackBoxEntry entry = new();
    private int attempts;
    private int closings;
    private int closes;
    private long droppedMs = -1;
    private long connectedMs = -1;
    private long acceptedMs = -1;
    private long goneOnMs = -1;
    private long trappedMs = -1;
    private int keptNumber = -1;
    private bool wasClockCorrected;

    // As seen before a call.
    private SessionState stateBefore;
    private SettingsState settingsBefore;
    private int dropsBefore;
    private int renewalsBefore;
    private int notStoredBefore;
    private bool wasOpen;
    private TokenSettings proven = TokenSettings.Default();
    private TokenSettings dialled = TokenSettings.Default();

    /// <inheritdoc/>
    public override long BackByMs(long sinceMs)
    {
        if (agent is null)
        {
            return long.MaxValue;
        }

        TokenSettings settings = Session.Settings;
        int longestSeconds = Math.Max(settings.BackoffMaxSeconds, settings.ReconnectSpreadSeconds);
        long boundMs = BackMsMin + (1000L * (settings.HeartbeatIntervalSeconds + (2 * longestSeconds)))
            + (agent.Settings.State == SettingsState.Good ? 0 : RollbackMs);
        return Math.Max(sinceMs, poweredMs) + boundMs;
    }

    /// <inheritdoc/>
    public override void Check()
    {
        if (agent is null || IsHung)
        {
            return;
        }

        if (link is { IsAccepted: true, IsOpenAtDevice: true } held)
        {
            long ageMs = World.NowMs - Math.Max(held.TokenMadeMs, goneOnMs);
            if (World.NowMs > goneOnMs + TokenRoomMs && ageMs > (held.LifetimeSeconds * 1000) + TokenRoomMs)
            {
                SoakWorld.Broken(Invariants.TokenFresh, this, $"link {held.Number} uses a token that is {ageMs / 1000} s old");
            }
        }

        TokenSettings inForce = agent.Settings.InForce;
        if (!twin.Known.Exists(inForce.IsSameAs))
        {
            SoakWorld.Broken(Invariants.SettingsWhole, this, "settings are in force that nobody asked for");
        }

        bool isTrapped = inForce.LifetimeSeconds == SoakWorld.TrapLifetimeSeconds;
        trappedMs = !isTrapped ? -1 : trappedMs < 0 ? World.NowMs : Math.Max(trappedMs, Math.Max(poweredMs, goneOnMs));
        if (isTrapped && World.NowMs - trappedMs > TrapMsMax)
        {
            SoakWorld.Broken(Invariants.ProbationEnds, this, $"lost by its settings for {(World.NowMs - trappedMs) / 1000} s");
        }

        if (agent.ConnectedPerMille is < 0 or > 1000 || Session.HeartbeatsAcknowledged > Session.HeartbeatsSent)
        {
            SoakWorld.Broken(
                Invariants.CountersAddUp, this,
                $"{agent.ConnectedPerMille} ‰ connected, {Session.HeartbeatsAcknowledged} of {Session.HeartbeatsSent} acknowledged");
        }
    }

    /// <inheritdoc/>
    public override void CheckEnd()
    {
        if (agent is null || Session.State != SessionState.Connected)
        {
            return; // In the middle of a renewal; that it ends in time was checked.
        }

        if (link != Books.HeldLink && link?.IsEndUnderWay(World.NowMs) != true)
        {
            SoakWorld.Broken(Invariants.SameView, this, $"link {link?.Number} here, link {Books.HeldLink?.Number} at the hub");
        }

        Outbox outbox = agent.Outbox;
        int queued = outbox.InMemory + outbox.InFlash;
        if (queued > QueuedMax)
        {
            SoakWorld.Broken(Invariants.QueueDrains, this, $"{queued} messages still wait");
        }

        int missing = Books.LastSent - Books.AtHub.Count;
        int counted = Books.DroppedBefore + outbox.Dropped + Books.LostAtPowerCut;
        if (missing > queued + counted)
        {
            SoakWorld.Broken(
                Invariants.MessagesAccountedFor, this,
                $"{missing} of {Books.LastSent} are missing, {queued} queued and {counted} counted as lost");
        }

        CheckExam();
    }

    private void LookBefore()
    {
        stateBefore = Session.State;
        settingsBefore = agent!.Settings.State;
        dropsBefore = Session.Drops;
        renewalsBefore = Session.Renewals;
        notStoredBefore = agent.BlackBox.NotStored;
        wasOpen = agent.BlackBox.IsOpen;
        proven = settingsBefore == SettingsState.Good ? agent.Settings.InForce : proven;
    }

    private void LookAfter(ReadOnlySpan<DisconnectReason> truth)
    {
        NoteEntry();
        if (state.IsDead || box.IsDead || queue.IsDead)
        {
            return; // Its last moment; what it thought does not matter any more, what it wrote does.
        }

        Now now = Now;
        if (Session.Drops > dropsBefore)
        {
            OnDrop(now, truth);
        }
        else if (stateBefore == SessionState.Connecting && truth.Length > 0)
        {
            OnFailedAttempt(truth);
        }
        else if (stateBefore == SessionState.TakingOver && Session.State == SessionState.Renewing)
        {
            attempts--; // A takeover that failed while the old link stood is no attempt of an outage.
        }

        bool isConnected = Session.State == SessionState.Connected
            && stateBefore is SessionState.Connecting or SessionState.TakingOver;
        if (isConnected)
        {
            OnBack();
        }

        CheckProbation();
    }

    private void NoteEntry()
    {
        BlackBoxEntry current = agent!.BlackBox.Current;
        if (current.IsKnown)
        {
            if (!made.TryGetValue(current.Number, out HashSet<DisconnectReason>? reasons))
            {
                made[current.Number] = reasons = [];
            }

            reasons.Add(current.Reason);
        }
    }

    private void OnDrop(Now now, ReadOnlySpan<DisconnectReason> truth)
    {
        World.Tell(this, $"drop: {DisconnectReasonText.Of(agent!.BlackBox.Current.Reason)}");
        droppedMs = World.NowMs;
        attempts = 0;
        possible.Clear();
        Add(truth);
        BlackBox told = agent.BlackBox;
        if (!told.IsOpen || !truth.Contains(told.Current.Reason) || told.LastReason != told.Current.Reason)
        {
            SoakWorld.Broken(
                Invariants.BlackBoxTellsTruth, this,
                $"{told.Current.Reason} (last {told.LastReason}) is noted, true would be {string.Join(" or ", truth.ToArray())}");
        }

        if (told.NotStored == notStoredBefore && !box.IsDead)
        {
            keptNumber = told.Current.Number;
        }

        TokenSettings settings = Session.Settings;
        long lastedMs = connectedMs < 0 ? 0 : World.NowMs - connectedMs;
        long waitMs = Session.DueAtMs(TimerId.Retry) - now.Ms;
        if (Session.State == SessionState.BackingOff && lastedMs > settings.BackoffMaxSeconds * 1000L
            && waitMs > Math.Max(settings.BackoffMinSeconds, settings.ReconnectSpreadSeconds) * 1000L)
        {
            SoakWorld.Broken(Invariants.FirstRetryIsPrompt, this, $"waits {waitMs} ms after {lastedMs / 1000} s of connection");
        }
    }

    private void OnFailedAttempt(ReadOnlySpan<DisconnectReason> truth)
    {
        Add(truth);
        BlackBox told = agent!.BlackBox;
        World.Tell(this, $"attempt failed: {DisconnectReasonText.Of(told.Current.AttemptReason)}");
        if (!told.IsOpen || !truth.Contains(told.Current.AttemptReason))
        {
            SoakWorld.Broken(
                Invariants.BlackBoxTellsTruth, this,
                $"attempt: {told.Current.AttemptReason} is noted, true would be {string.Join(" or ", truth.ToArray())}");
        }
    }

    private void OnBack()
    {
        bool isRenewal = Session.Renewals > renewalsBefore;
        World.Tell(this, isRenewal ? "renewed" : "connected");
        acceptedMs = World.NowMs;
        connectedMs = isRenewal ? connectedMs : World.NowMs;

        BlackBoxEntry told = agent!.BlackBox.Current;
        if (wasOpen && !isRenewal)
        {
            if (droppedMs >= 0 && told.GapMs != World.NowMs - droppedMs)
            {
                SoakWorld.Broken(Invariants.BlackBoxMeasures, this, $"gap {told.GapMs} ms, true is {World.NowMs - droppedMs}");
            }

            if (told.Attempts != attempts)
            {
                SoakWorld.Broken(Invariants.BlackBoxMeasures, this, $"{told.Attempts} attempts, true is {attempts}");
            }

            bool isHindsight = wasClockCorrected && told.Reason is DisconnectReason.ClockSkew or DisconnectReason.TlsWrongClock;
            if (!possible.Contains(told.Reason) && !isHindsight)
            {
                SoakWorld.Broken(
                    Invariants.BlackBoxTellsTruth, this,
                    $"the outage ends as {told.Reason}, possible were {string.Join(", ", possible)}");
            }
        }

        ForgetOutage();
    }

    private void ForgetOutage()
    {
        droppedMs = -1;
        attempts = 0;
        possible.Clear();
        wasClockCorrected = SkewSeconds != 0;
    }

    private void Add(ReadOnlySpan<DisconnectReason> truth)
    {
        foreach (DisconnectReason reason in truth)
        {
            possible.Add(reason);
        }
    }

    // A close by the hub, as the device can read it; see the remarks on Invariants.
    private DisconnectReason[] Closes(SoakLink closed)
    {
        closes = World.NowMs - acceptedMs < 300_000 || closes == 0 ? closes + 1 : 1;
        bool isOver = closed.ExpirySeconds <= Now.UtcSeconds;
        bool isSure = isOver && closed.HubReason == Reason.TokenExpired;
        return isSure ? [DisconnectReason.HubClosedAtExpiry]
            : isOver ? [DisconnectReason.HubClosedAtExpiry, DisconnectReason.ClosedByPeer]
            : closes < ReasonClassifier.ThrottleCloses ? [DisconnectReason.ClosedByPeer]
            : [DisconnectReason.ClosedByPeer, DisconnectReason.Throttled, DisconnectReason.TakenOver];
    }

    private static DisconnectReason[] Refusals(int code) => code == 3
        ? [DisconnectReason.RefusedUnavailable, DisconnectReason.Disabled]
        :
        [
            DisconnectReason.RefusedNotAuthorized, DisconnectReason.TokenExpired, DisconnectReason.ClockSkew, DisconnectReason.Disabled,
        ];

    private void WakeAgent()
    {
        // What a wake can end: a message without acknowledgement, an attempt that took too long.
        bool isTrying = Session.State == SessionState.Connecting;
        DisconnectReason[] truth = isTrying
            ? [DisconnectReason.SilentPeer, DisconnectReason.ConnectTimedOut, DisconnectReason.TcpTimedOut, DisconnectReason.PortBlocked]
            : [DisconnectReason.SilentPeer, DisconnectReason.PublishNotAcknowledged];
        bool isOver = isTrying && Session.DueAtMs(TimerId.Connect) <= Now.Ms;
        Do(a => a.OnWake(Now), isTrying && !isOver ? [] : truth);
    }

    private void CheckState()
    {
        if (agent is null || Session.State != SessionState.BackingOff)
        {
            return;
        }

        TokenSettings settings = Session.Settings;
        long waitMs = Session.DueAtMs(TimerId.Retry) - Now.Ms;
        if (waitMs > Math.Max(settings.BackoffMaxSeconds, settings.ReconnectSpreadSeconds) * 1000L)
        {
            SoakWorld.Broken(Invariants.BackoffBounded, this, $"waits {waitMs} ms");
        }
    }

    private void CheckProbation()
    {
        SettingsKeeper keeper = agent!.Settings;
        bool isRenewal = Session.Renewals > renewalsBefore && !dialled.DiffersInConnection(keeper.InForce);
        bool isProven = isRenewal || !keeper.InForce.DiffersInConnection(proven);
        if (settingsBefore == SettingsState.OnProbation && keeper.State == SettingsState.Good && !isProven)
        {
            SoakWorld.Broken(Invariants.ProbationProven, this, "settings count as good without a renewal under them");
        }

        if (settingsBefore == SettingsState.Good && keeper.State == SettingsState.Good && keeper.InForce.DiffersInConnection(proven))
        {
            SoakWorld.Broken(Invariants.ProbationProven, this, "settings that change the connection are not on probation");
        }
    }

    private void CheckPublish(string topic)
    {
        int at = topic.IndexOf("&renewal=", StringComparison.Ordinal);
        long dueMs = Session.DueAtMs(TimerId.Renew);
        if (at < 0 || dueMs == Timers.Never)
        {
            return;
        }

        string rest = topic[(at + 9)..];
        long told = long.Parse(rest[..rest.IndexOf('&', StringComparison.Ordinal)], System.Globalization.CultureInfo.InvariantCulture);
        long trueSeconds = (dueMs - Now.Ms) / 1000;
        if (Math.Abs(told - trueSeconds) > 1)
        {
            SoakWorld.Broken(Invariants.AnnouncedRenewal, this, $"renewal in {told} s is told, planned in {trueSeconds} s");
        }
    }

    private void CheckAfterStart()
    {
        if (agent is null)
        {
            return;
        }

        bool isKept = keptNumber < 0;
        int below = int.MaxValue;
        while (agent.BlackBox.TryReadBelow(below, entry))
        {
            below = entry.Number;
            isKept |= entry.Number == keptNumber;
            if (!made.TryGetValue(entry.Number, out HashSet<DisconnectReason>? reasons) || !reasons.Contains(entry.Reason))
            {
                SoakWorld.Broken(Invariants.BlackBoxKept, this, $"entry {entry.Number} with {entry.Reason} was never made");
            }
        }

        if (!isKept)
        {
            SoakWorld.Broken(Invariants.BlackBoxKept, this, $"entry {keptNumber} was written and is gone");
        }

        keptNumber = -1;
    }

    // Which entry must be found again: the one of the last outage, unless its very write was cut off.
    private void RememberBox(bool isTorn)
    {
        keptNumber = isTorn ? -1 : keptNumber;
        connectedMs = -1;
        closes = 0;
        goneOnMs = -1;
        trappedMs = -1;
    }
}
