namespace Agent.Events;

/// <summary>Events put side by side.</summary>
internal static class JsonList
{
    /// <summary>The events with commas between them, and something before and after.</summary>
    public static byte[] Join(ReadOnlySpan<byte> before, IReadOnlyList<DeliveryItem> items, ReadOnlySpan<byte> after)
    {
        int length = before.Length + after.Length + items.Count - 1;
        for (int i = 0; i < items.Count; i++)
        {
            length += items[i].Json.Length;
        }

        byte[] joined = new byte[length];
        before.CopyTo(joined);
        int at = before.Length;
        for (int i = 0; i < items.Count; i++)
        {
            if (i > 0)
            {
                joined[at++] = (byte)',';
            }

            items[i].Json.CopyTo(joined, at);
            at += items[i].Json.Length;
        }

        after.CopyTo(joined.AsSpan(at));
        return joined;
    }
}
