using System.Text;
using Agent.Fleet;
using Agent.Wire;
using Agent.World;

namespace Agent.Drive;

/// <summary>
/// The second client of a duplicateId fault: connects with the device's own identity and sits there, with a keep-alive of 0 so
/// that it need not ping.
/// </summary>
internal sealed class Rival(WirePlan plan, int globalIndex, FleetRun fleet)
{
    private const long LifetimeSeconds = 3600;

    private readonly Lock gate = new();
    private readonly PacketStyle style = PacketStyle.Of(fleet.Plan.Sdk);
    private ClientSession? session;
    private bool dialling;
    private bool gone;

    /// <summary>Takes the identity, unless it holds it or is about to.</summary>
    public void Connect(DriveClock clock)
    {
        lock (gate)
        {
            gone = false;
            if (dialling || session is { IsOpen: true })
            {
                return;
            }

            dialling = true;
        }

        long expirySeconds = ((clock.StartUtcMs + clock.NowMs) / 1000) + LifetimeSeconds;
        _ = Task.Run(() => ConnectAsync(expirySeconds));
    }

    /// <summary>Says goodbye and stays away.</summary>
    public void Leave()
    {
        lock (gate)
        {
            gone = true;
            session?.SendDisconnect();
            session?.Close();
            session = null;
        }
    }

    private async Task ConnectAsync(long expirySeconds)
    {
        try
        {
            var options = new ClientOptions { Tls = plan.Tls };
            ClientSession made = await ClientSession.DialAsync(plan.Remote, options, new Visitor()).ConfigureAwait(false);
            lock (gate)
            {
                session = made;
                if (gone)
                {
                    made.Close();
                    return;
                }
            }

            string id = plan.Keys.IdOf(globalIndex);
            made.SendConnect(new ConnectPacket
            {
                ClientId = Encoding.ASCII.GetBytes(id),
                UserName = Encoding.ASCII.GetBytes(style.UserName(plan.Keys.HostName, id, fleet.Fields)),
                Password = Encoding.ASCII.GetBytes(plan.Keys.Password(globalIndex, expirySeconds, style)),
            });
        }
        catch (LinkException)
        {
            // The hub is away; the next turn tries again.
        }
        finally
        {
            lock (gate)
            {
                dialling = false;
            }
        }
    }
}
