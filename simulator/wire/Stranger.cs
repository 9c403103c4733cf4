using System.Net;

namespace Agent.Wire;

/// <summary>One connection among <see cref="Strangers"/>.</summary>
public abstract class Stranger(IPAddress address)
{
    private volatile Action? evict;

    /// <summary>Where it comes from.</summary>
    public IPAddress Address { get; } = address;

    /// <summary>Whether the next move is the peer's. Asked under a lock: must not block.</summary>
    public abstract bool OwesUs { get; }

    /// <summary>
    /// The connection is over, or its client has shown who it is. From any thread; a second call does nothing.
    /// </summary>
    public virtual void Leave() => Home?.Remove(this);

    /// <summary>From now on a session is served on this connection: evicting it means to end that, with its name.</summary>
    internal void EvictBy(Action end)
    {
        evict = end;
        if (IsEvicted)
        {
            end();
        }
    }

    internal void CarryOutEviction() => (evict ?? Evict)();

    /// <summary>Ends the connection with a reset, from any thread. Must not block.</summary>
    protected abstract void Evict();

    internal Strangers? Home { get; set; }

    internal LinkedListNode<Stranger>? Place { get; set; }

    internal LinkedListNode<Stranger>? PlaceAtAddress { get; set; }

    internal bool IsEvicted { get; set; }
}
